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


def packed(x, w):
    """x @ w by oneDNN with w laid out beforehand."""
    t = torch()
    weight, x = t.from_numpy(np.ascontiguousarray(w.T)).to_mkldnn(), t.from_numpy(x)
    return lambda: t.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


def dense_peers(x, w):
    out = np.empty((x.shape[0], w.shape[1]), np.float32)
    return [
        Peer("OpenBLAS", lambda: lambda: np.matmul(x, w, out=out), kind="dense"),
        Peer("oneDNN", lambda: packed(x, w), kind="dense"),
    ]


def sparse_peers(s, x, view=np.transpose):
    """s @ x by lists; both are given transposed and so is the answer, which spares the peers what ours does on the way."""

    def by_mkl():
        mkl()
        from sparse_dot_mkl import dot_product_mkl

        return lambda: dot_product_mkl(s, x, dense=True)

    def by_torch():
        t = torch()
        ts = t.sparse_csr_tensor(*(t.from_numpy(a) for a in (s.indptr, s.indices, s.data)), size=s.shape)
        tx = t.from_numpy(x)
        return lambda: t.mm(ts, tx)

    return [Peer("MKL", by_mkl, view, "lists"), Peer("torch CSR", by_torch, view, "lists"), Peer("SciPy", lambda: lambda: s @ x, view, "lists")]


def find(operation):
    from . import counting, genotype, layers, masked, particle

    for family in (layers, masked, counting, genotype, particle):
        if operation in family.CASES:
            return family.CASES[operation]
    raise KeyError(operation)
