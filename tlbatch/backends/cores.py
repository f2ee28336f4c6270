"""Which part of a machine's cores a task gets: by the plan and the machine alone, so that a training's bits are resolved.

A training of small batches makes two cores no more than 1.6 times as fast as one: so seeds of a run are done sooner side by
side, each on its part of the cores, than one after the other on all of them (docs/speed.md).
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from tlbatch.planning import Alike, Node

FASTER = 0.7
"""By c cores a training is c^0.7 times as fast as by one. Measured of two: small networks of one's own 2^0.71, stages of
MobileNetV2 2^0.6."""
SHARE = 0.5
"""Of the machine's memory, for trainings side by side: who works there has other programs, too."""
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def cores_for(node: Node, cores: int, memory_mib: int) -> int:
    """Light tasks take one core each, heavy ones all of them; trainings that are alike share them where that is sooner done.

    Not those that several processes do together, which share them already, nor those that have a deadline, which may have been
    set by how long all cores take.
    """
    if node.weight != "heavy":
        return 1
    if node.alike is None or {"nodes", "gpu", "deadline_s"} & node.limits.keys():
        return cores
    at_once = side_by_side(node.alike, cores, memory_mib)
    rest = node.alike.count % at_once
    return cores // (rest if node.alike.place >= node.alike.count - rest else at_once)


def side_by_side(alike: Alike, cores: int, memory_mib: int) -> int:
    """How many of them run at once: of what ``SHARE`` of the memory holds, as many as it takes least time with.

    Those that are left over at the end share all cores among them.
    """

    def taken(at_once: int) -> float:
        rounds, rest = divmod(alike.count, at_once)
        last = 1 / math.pow(cores // rest, FASTER) if rest else 0.0
        return rounds / math.pow(cores // at_once, FASTER) + last

    fit = min(alike.count, cores, int(SHARE * memory_mib / max(1, alike.memory_mib)))
    return min(range(1, max(1, fit) + 1), key=taken)


def memory_to_share_mib() -> int:
    """Of this machine; none where there are GPUs, which one training has at a time."""
    return 0 if devices() else machine_memory_mib()


def devices() -> int:
    """GPUs of this machine, as far as its driver shows them."""
    return len([path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdigit()])


def machine_memory_mib() -> int:
    """Of this machine, or of the container that this process is in."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in map(Path, CGROUP_LIMITS):
        if path.exists() and (limit := path.read_text(encoding="ascii").strip()).isdigit():
            sizes.append(int(limit))
    return min(sizes) // 2**20
