"""Images that judge before they train: new ones only, whole units, the oldest leave first, and none has trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from jobs.data.index import IndexEntry
from jobs.data.pinning import pin_images, used_of
from jobs.data.pins import Pins, short
from jobs.data.split import split_index
from tests.jobs.data.test_split import entry, settings

CLASSES = ["cat", "dog"]
SPLIT = settings(train=10, validation=10, test=10)


def drawn(count: int, first: int = 0, **other: Any) -> list[IndexEntry]:
    return [entry(f"{label}{number}", label, **other) for number in range(first, first + count) for label in CLASSES]


def known(*parts: Iterable[IndexEntry]) -> frozenset[str]:
    return frozenset(short(each.id) for part in parts for each in used_of(part, CLASSES))


def nights(*added: list[IndexEntry], share: float = 0.5) -> tuple[list[Pins], list[list[IndexEntry]]]:
    """The first firing on 40 images, then one after each addition."""
    there = [drawn(20)]
    pins = [pin_images(None, there[0], SPLIT, share=share)]
    for new in added:
        met = known(*there)
        there.append([*there[-1], *new])
        pins.append(pin_images(pins[-1], there[-1], SPLIT, known=met, share=share))
    return pins, there


def test_nothing_waits_before_something_new_came() -> None:
    first, again = nights([])[0]
    assert first.fresh == again.fresh == ()
    assert again == first


@pytest.mark.promise(10)
def test_a_share_of_what_is_new_judges_and_does_not_train() -> None:
    """Fails when images that have trained may judge."""
    pins, there = nights(drawn(10, 100))
    fresh = {pin.id for pin in pins[1].fresh}
    assert 0 < len(fresh) < 20
    assert fresh <= {each.id for each in drawn(10, 100)}
    split = split_index(there[1], SPLIT, pins=pins[1])
    assert {each.id for each in split.fresh} == fresh
    for part in (split.train, split.validation, split.test):
        assert not fresh & {each.id for each in part}


@pytest.mark.promise(10)
def test_the_oldest_leave_to_train_and_no_image_judges_that_has_trained() -> None:
    """Over thirty nights: an image that once trained never judges again. Fails when the newest leave first."""
    pins, there = nights(*[drawn(2, 100 * night) for night in range(1, 31)])
    trained: set[str] = set()
    for now, entries in zip(pins, there, strict=True):
        fresh = {pin.id for pin in now.fresh}
        assert not fresh & trained
        assert len(fresh) <= len(now.test)
        trained |= {each.id for each in split_index(entries, SPLIT, pins=now).train}
    assert len(pins[-1].fresh) > len(pins[-1].test) / 2
    assert min(pin.since for pin in pins[-1].fresh) > 5


def test_units_wait_as_a_whole_and_likenesses_of_trained_or_pinned_images_never() -> None:
    burst = [entry(f"burst{number}", "cat", group="burst") for number in range(4)]
    pins, there = nights(burst, share=0.999)
    assert {pin.id for pin in pins[1].fresh} == {each.id for each in burst}
    late = entry("burst9", "cat", group="burst")
    joined = pin_images(pins[1], [*there[1], late], SPLIT, known=known(there[1]), share=0.0)
    assert late.id in {pin.id for pin in joined.fresh}, "it waits with its own"
    old = next(each for each in split_index(there[1], SPLIT, pins=pins[1]).train)
    bridged = [replace(each, group="burst") if each.id == old.id else each for each in there[1]]
    assert pin_images(pins[1], bridged, SPLIT, known=known(there[1]), share=0.999).fresh == ()


def test_pins_from_before_there_were_fresh_images_take_all_there_is_for_known() -> None:
    pins, there = nights()
    more = [*there[0], *drawn(10, 100)]
    assert pin_images(pins[0], more, SPLIT, known=None, share=0.5).fresh == ()


def test_renewed_test_images_are_those_that_waited() -> None:
    pins, there = nights(drawn(10, 100))
    renewed = pin_images(pins[1], there[1], SPLIT, known=known(*there), share=0.5, renew=True)
    assert {pin.id for pin in renewed.test} == {pin.id for pin in pins[1].fresh}
    assert (renewed.version, renewed.fresh, renewed.served({"1": 50})) == (2, (), 0)
    train = {each.id for each in split_index(there[1], SPLIT, pins=renewed).train}
    assert {pin.id for pin in pins[1].test} <= train
    lacking = replace(pins[1], fresh=tuple(pin for pin in pins[1].fresh if pin.label == "cat"))
    assert pin_images(lacking, there[1], SPLIT, known=known(*there), share=0.5, renew=True).version == 1
