"""The same work by what a user would pick instead, with the inputs that both sides get.

A module a family; `CASES` finds the function of an operation, which takes shape and threads and returns a `Case`. A peer is made only
when its turn comes: one that cannot be imported is reported as missing.
"""
import ctypes
import glob
import os
import sys
from dataclasses import dataclass, field
from typing import Callable

import numpy as np


@dataclass
class Peer:
    name: str
    # Imports, lays out, compiles; returns the call that is timed, which returns its answer.
    make: Callable
    # The answer as ours has it.
    view: Callable = np.asarray
    # "lists", "dense" or nothing.
    kind: str = ""


@dataclass
class Case:
    peers: list
    # What ours reads, by name.
    inputs: dict = field(default_factory=dict)
    # Answers differ by at most so much of the largest value (of the largest change, if there is a start).
    tolerance: float = 1e-4
    start: np.ndarray | None = None
    # Judges our answer where there is nothing to compare it with; returns what is wrong, or None.
    judge: Callable | None = None
    # Further keys for ours while answers are compared.
    check: dict = field(default_factory=dict)
    # What the peers' times are multiplied by, if they do a part of the work.
    share: float = 1.0
    # The operation and shape whose answer is that of the peers, if they do another part of the work than what is timed.
    like: tuple | None = None
    # Whether the peers may have fewer threads than the row has, if they are faster then.
    fewer_threads: bool = False
    # Seconds of calls that a peer is timed for.
    least: float = 0.02
    # Whether answers are compared: where both draw their own random numbers, they cannot be.
    compared: bool = True


def random():
    return np.random.default_rng(0)


def uniform(rng, *size):
    """Between 0.05 and 1.05: not zero, which would spare work."""
    return rng.random(size, dtype=np.float32) + np.float32(0.05)


def torch():
    import torch

    return torch


def mkl():
    """The library, for those who look for it by name."""
    path = glob.glob(os.path.join(sys.prefix, "lib", "libmkl_rt.so*"))
    if not path:
        raise ImportError("libmkl_rt")
    os.environ["MKL_RT"] = path[0]
    return ctypes.CDLL(path[0], mode=ctypes.RTLD_GLOBAL)


def use_threads(count):
    """Tells torch, and oneDNN with it, and MKL, as far as they are loaded."""
    if "torch" in sys.modules:
        torch().set_num_threads(count)
    if "MKL_RT" in os.environ:
        mkl().MKL_Set_Num_Threads(count)


def by_onednn(x, w, packed=False):
    """x @ w by oneDNN; packed, with w laid out beforehand for so many samples, as inductor's freezing does."""
    t = torch()
    weight, x = t.from_numpy(np.ascontiguousarray(w.T)), t.from_numpy(x)
    weight = t.ops.mkldnn._reorder_linear_weight(weight, len(x)) if packed else weight.to_mkldnn()
    return lambda: t.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


def dense_peers(x, w, prepared=False):
    """x @ w, ours being prepared for this w or not."""
    out = np.empty((x.shape[0], w.shape[1]), np.float32)
    peers = [
        Peer("OpenBLAS", lambda: lambda: np.matmul(x, w, out=out), kind="dense"),
        Peer("oneDNN", lambda: by_onednn(x, w), kind="dense"),
    ]
    return peers + [Peer("oneDNN, packed", lambda: by_onednn(x, w, True), kind="dense")] * prepared


class Descr(ctypes.Structure):
    """MKL's `matrix_descr`."""

    _fields_ = [("type", ctypes.c_int), ("mode", ctypes.c_int), ("diag", ctypes.c_int)]


GENERAL, NOT_TRANSPOSED, ROW_MAJOR = Descr(20, 40, 50), 10, 101


def analysed(s, x):
    """s @ x by MKL's inspector and executor: told beforehand what is to come, into an answer that stays where it is."""
    library, handle, (rows, cols), batch = mkl(), ctypes.c_void_p(), s.shape, x.shape[1]
    # The handle keeps none of them alive.
    starts, indices, values = s.indptr.astype(np.int32), s.indices.astype(np.int32), np.ascontiguousarray(s.data)
    out = np.empty((rows, batch), np.float32)
    at = lambda array, item=0: ctypes.c_void_p(array.ctypes.data + item * array.itemsize)
    done = library.mkl_sparse_s_create_csr(ctypes.byref(handle), 0, rows, cols, at(starts), at(starts, 1), at(indices), at(values))
    done |= library.mkl_sparse_set_mm_hint(handle, NOT_TRANSPOSED, GENERAL, ROW_MAJOR, batch, 1000)
    if done or library.mkl_sparse_optimize(handle):
        raise RuntimeError("MKL does not take the matrix")
    places = (at(x), batch, batch, ctypes.c_float(0), at(out), batch)

    def product(_kept=(starts, indices, values, x)):
        if library.mkl_sparse_s_mm(NOT_TRANSPOSED, ctypes.c_float(1), handle, GENERAL, ROW_MAJOR, *places):
            raise RuntimeError("mkl_sparse_s_mm")
        return out

    return product


def sparse_peers(s, x, view=np.transpose):
    """s @ x by lists; both are given transposed and so is the answer, which spares the peers what ours does on the way."""
    def by_torch():
        t = torch()
        ts = t.sparse_csr_tensor(*(t.from_numpy(a) for a in (s.indptr, s.indices, s.data)), size=s.shape)
        tx = t.from_numpy(x)
        return lambda: t.mm(ts, tx)

    return [Peer("MKL", lambda: analysed(s, x), view, "lists"), Peer("torch CSR", by_torch, view, "lists"), Peer("SciPy", lambda: lambda: s @ x, view, "lists")]


def find(operation):
    from . import counting, genotype, layers, masked, particle

    for family in (layers, masked, counting, genotype, particle):
        if operation in family.CASES:
            return family.CASES[operation]
    raise KeyError(operation)
