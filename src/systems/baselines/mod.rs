//! What the Hebbian system is compared with: Krotov and Hopfield's rule, backpropagation, and a softmax regression.

pub mod backprop;
pub mod krotov_hopfield;
pub mod softmax;
