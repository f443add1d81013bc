//! Elementary functions on 16 lanes.
