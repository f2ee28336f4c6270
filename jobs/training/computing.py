"""Where a training computes, set up so that equal seeds give equal bits."""

from __future__ import annotations

import torch


def choose_device(threads: int) -> torch.device:
    """The GPU where there is one, else the CPU with so many threads. Algorithms that vary from run to run are left out."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
