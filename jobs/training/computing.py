"""Where a training computes, set up so that equal seeds give equal bits."""

from __future__ import annotations

import ctypes

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
KEPT_BYTES = 2**30


def choose_device(threads: int, local_rank: int = 0) -> torch.device:
    """The GPU where there is one, else the CPU with so many threads. Algorithms that vary from run to run are left out.

    ``local_rank``: which of the processes of this machine that train together; each has a GPU.
    """
    keep_memory()
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if local_rank and torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def keep_memory() -> None:
    """Let the C library keep what tensors free, up to 1 GiB, for the next ones.

    Else it gives large blocks back to the system at once and gets zeroed pages for them again, page by page: a quarter of the
    time of a small network's training on a CPU (docs/speed.md). mallopt(3); where the library is not glibc nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    for what in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
        mallopt(what, KEPT_BYTES)
