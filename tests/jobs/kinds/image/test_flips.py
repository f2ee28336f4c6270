"""The few looks that pictures have when they are mirrored alone: those that ``vary`` gives, to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from jobs.kinds import vary, vary_rows
from jobs.kinds.looks import looks_of
from jobs.randomness import generator
from tlbatch.kinds.image import Augmentation

ITEMS = torch.randint(0, 256, (64, 3, 6, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize(("flip", "count"), [("none", 1), ("horizontal", 2), ("vertical", 2), ("both", 4)])
def test_looks_are_what_vary_shows(flip: str, count: int) -> None:
    """Fails when a look's number is not that of the flips which the same chance gives."""
    augmentation = Augmentation(flip=flip).model_dump(mode="json")  # type: ignore[arg-type]
    looks = looks_of({}, augmentation)
    assert looks is not None
    assert looks.count == count
    drawn = looks.drawn(len(ITEMS), generator(3, "augment", 1, 2))
    assert sorted(drawn.unique().tolist()) == list(range(count))
    varied = vary({}, ITEMS.float(), augmentation, generator(3, "augment", 1, 2))
    shown = [looks.show(ITEMS, int(look))[place].float() for place, look in enumerate(drawn)]
    assert torch.equal(torch.stack(shown), varied)
    rows = vary_rows({}, lambda rows: ITEMS[rows].float(), augmentation, generator(3, "augment", 1, 2), 64, slice(5, 20))
    assert torch.equal(torch.stack(shown[5:20]), rows)


@pytest.mark.parametrize(
    "setting",
    [name for name, field in Augmentation.model_fields.items() if field.annotation is float],
)
def test_whatever_else_changes_pictures_has_no_few_looks(setting: str) -> None:
    """Of every setting that is a number, and those that there will be: fails for a new one that is not looked at."""
    value: dict[str, Any] = {setting: 0.25}
    assert looks_of({}, Augmentation(flip="horizontal", **value).model_dump(mode="json")) is None


def test_every_setting_was_tried() -> None:
    numbers = {name for name, field in Augmentation.model_fields.items() if field.annotation is float}
    assert numbers | {"flip", "fill", "shear_unit"} == set(Augmentation.model_fields)


def test_without_augmentation_an_item_is_itself() -> None:
    looks = looks_of({}, None)
    assert looks is not None
    assert looks.count == 1
    assert torch.equal(looks.show(ITEMS, 0), ITEMS)
    assert looks.drawn(3, generator(0)).tolist() == [0, 0, 0]


def test_a_plug_ins_augmentation_has_looks_that_nobody_knows() -> None:
    assert looks_of({}, {"example:jitter": {"by": 2}}) is None
