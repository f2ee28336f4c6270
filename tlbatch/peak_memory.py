"""The most memory that this process has held."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path


def peak_memory_mib() -> int:
    """Resident set, MiB: what ``tlbatch.memory`` forecasts.

    Linux counts it by address space (VmHWM, proc(5)); getrusage's maximum would begin with that of the process that started
    this one, which a driver or a test may have made large.
    """
    if sys.platform == "linux":
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii", errors="replace"), re.M)
        if found is not None:
            return int(found[1]) // 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform != "darwin" else most // 2**20
