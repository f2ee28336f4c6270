"""Where a training computes, set up so that equal seeds give equal bits."""

from __future__ import annotations

import torch


def choose_device(threads: int, local_rank: int = 0) -> torch.device:
    """The GPU where there is one, else the CPU with so many threads. Algorithms that vary from run to run are left out.

    ``local_rank``: which of the processes of this machine that train together; each has a GPU.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if local_rank and torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
