"""A study of a million images on 1, 10 and 100 nodes, on paper: from rates that were measured. Pure.

Each part of a study is work that nodes share, work that one task does whatever there is beside it, and starts. What does not
shrink bends the curve (Amdahl 1967): with a share s of it nothing is faster than 1 / s times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rates:
    """Seconds, of one core unless said otherwise, an image unless said otherwise.

    ``listed``: by the driver. ``read``: prepare decodes, checks and stores it. ``merged``: one task puts parts together;
    ``searched``: near copies, of an image among ``searched_of``, by all cores of one node; they grow with n^1.5. ``decided``:
    what one process does of that by itself. ``decoded`` and ``computed``: extraction. ``fitted``: the head, of all cores of one
    node; ``judged``: evaluation and report, one core. ``start``: of a pod that has its image until it computes; ``starts``:
    pods a second that a cluster starts. Bytes: of an image as stored, and of its features; ``down``: bytes a second to a node,
    ``store``: that the store gives to all of them together.
    """

    listed: float
    read: float
    merged: float
    searched: float
    decided: float
    searched_of: int
    decoded: float
    computed: float
    fitted: float
    judged: float
    start: float
    starts: float
    image_bytes: float
    feature_bytes: float
    down: float
    store: float


@dataclass(frozen=True)
class Stage:
    """Seconds by the clock: of work that nodes share, and of what one task does; ``start`` of the pods before it."""

    name: str
    shared: float
    alone: float
    start: float

    @property
    def seconds(self) -> float:
        return self.shared + self.alone + self.start


def stages(images: int, nodes: int, cores: int, rates: Rates) -> list[Stage]:
    """Of one dataset and one run on features, a pod a node, all ``cores`` of it. Bytes flow while cores compute.

    Raises ValueError for no images, nodes or cores.
    """
    if min(images, nodes, cores) < 1:
        raise ValueError(f"{images} images on {nodes} nodes of {cores} cores: at least one of each")
    speed = min(nodes * rates.down, rates.store)
    begun, one = rates.start + nodes / rates.starts, rates.start + 1 / rates.starts

    def shared(core_s: float, bytes_of_each: float) -> float:
        return max(images * core_s / (nodes * cores), images * bytes_of_each / speed)

    search = images * (rates.searched * math.sqrt(images / rates.searched_of) / cores + rates.decided)
    together = images * rates.feature_bytes / min(rates.down, rates.store)  # one task fetches what all have computed
    return [
        Stage("list", 0.0, images * rates.listed, one),
        Stage("prepare: read", shared(rates.read, 2 * rates.image_bytes), 0.0, begun),
        Stage("prepare: near copies", 0.0, search, 0.0),
        Stage("prepare: put together", 0.0, images * (rates.merged + 2 * rates.image_bytes / rates.down), 0.0),
        Stage("extract", shared(rates.decoded + rates.computed, rates.image_bytes), 2 * together, begun),
        Stage("head", 0.0, images * rates.fitted + together, one),
        Stage("evaluate, report", 0.0, images * rates.judged, 2 * one),
    ]


def total_s(found: Sequence[Stage]) -> float:
    return sum(stage.seconds for stage in found)


def alone_share(images: int, cores: int, rates: Rates) -> float:
    """Of one node's time, what no other node could take over: its inverse is as fast as it gets."""
    found = stages(images, 1, cores, rates)
    return sum(stage.alone + stage.start for stage in found) / total_s(found)


CORES, IMAGES = 8, 1_000_000
#: of photographs of 500 x 375 pixels, MobileNetV2 at 224 pixels in bf16, a head on 1,000 classes; docs/growth.md says whence
MEASURED = Rates(
    listed=94e-6,
    read=1.0e-3,
    merged=0.17e-3,
    searched=1.45e-3,
    decided=0.016e-3,
    searched_of=200_000,
    decoded=0.7e-3,
    computed=3.8e-3,
    fitted=3.9e-3 / CORES,
    judged=0.1e-3,
    start=5.0,
    starts=10.0,
    image_bytes=19_000,
    feature_bytes=4 * 1280,
    down=1.25e9,
    store=5e9,
)


def on_paper(rates: Rates = MEASURED, nodes: Sequence[int] = (1, 10, 100)) -> str:
    """Markdown: minutes of each stage by the number of nodes, and how many times as fast all of it is."""
    each = [stages(IMAGES, count, CORES, rates) for count in nodes]
    lines = [f"| minutes, {IMAGES:,} images | nodes: {' | '.join(map(str, nodes))} |"]
    lines.append("|---|" + "---|" * len(nodes))
    for stage in zip(*each, strict=True):
        lines.append(f"| {stage[0].name} | {' | '.join(f'{one.seconds / 60:.1f}' for one in stage)} |")
    totals = [total_s(found) for found in each]
    lines.append(f"| **all** | {' | '.join(f'**{total / 60:.0f}**' for total in totals)} |")
    lines.append(f"| times as fast | {' | '.join(f'{totals[0] / total:.1f}' for total in totals)} |")
    share = alone_share(IMAGES, CORES, rates)
    return "\n".join(
        [
            *lines,
            "",
            f"{100 * share:.0f} % of one node's time is work of one task: no number of nodes is more than "
            f"{1 / share:.1f} times as fast.",
        ]
    )


if __name__ == "__main__":
    print(on_paper())
