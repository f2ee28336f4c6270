"""How much of everything `make bench-gpu` does, and how long each part may take."""

from __future__ import annotations

from dataclasses import dataclass, field

BUDGET_S = 480.0
#: part -> its share of the budget
SHARES = {"study": 0.5, "step": 0.2, "extraction": 0.2, "pictures": 0.1}


@dataclass(frozen=True)
class Sizes:
    """``pictures``: files of each of two classes. ``study``: changes to each run of the study, by the part of it."""

    pictures: int = 2500
    sides: tuple[int, int] = (500, 375)
    split: tuple[int, int, int] = (3000, 1000, 1000)
    backbone: str = "vgg16"
    size: int = 224
    batch: int = 64
    steps: int = 60
    loader_steps: int = 40
    extracted: int = 5000
    study: dict[str, dict[str, int]] = field(default_factory=dict)


WHOLE = Sizes()
SMALL = Sizes(
    pictures=16,
    sides=(64, 48),
    split=(16, 8, 8),
    backbone="squeezenet1_1",
    size=64,
    batch=4,
    steps=2,
    loader_steps=2,
    extracted=16,
    study={"train": {"epochs": 1, "steps_per_epoch": 1, "batch_size": 4}, "input": {"size": 64}},
)
