"""Which number is told first of a champion: never one that its having been chosen flatters, unless that is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.tlbatch.champions.test_champion import PINS, champion
from tlbatch.champions.champion import crown
from tlbatch.champions.judged import own_number
from tlbatch.commands.champions import champion as champion_commands
from tlbatch.schedules.pins import Pins, save_pins
from tlbatch.schedules.trend import trend_page
from tlbatch.store import open_store

MEASURED = {"value": 0.94, "low": 0.91, "high": 0.96}
UNLUCKY = "on the test images, without the luck of having been chosen there"
CORRECTED = {"metric": "accuracy", "value": 0.9, "low": 0.87, "high": 0.92}


def fresh(images: int, **other: Any) -> dict[str, Any]:
    return {"images": images, "metrics": {"accuracy": {"value": 0.895, "low": 0.85, "high": 0.93}}, **other}


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ((fresh(150), CORRECTED, MEASURED, 80), "0.895 [0.850, 0.930] on 150 fresh images, which no decision consulted"),
        (
            (fresh(30, enough=True), CORRECTED, MEASURED, 80),
            "0.895 [0.850, 0.930] on 30 fresh images, which no decision consulted",
        ),
        ((fresh(30, enough=False), CORRECTED, MEASURED, 80), f"0.900 [0.870, 0.920] {UNLUCKY}"),
        ((None, CORRECTED, MEASURED, 80), f"0.900 [0.870, 0.920] {UNLUCKY}"),
        ((None, None, MEASURED, 0), "0.940 [0.910, 0.960] on the test images"),
        ((fresh(5), None, MEASURED, 80), "0.940 [0.910, 0.960] on the test images that it was chosen on, which flatters it"),
        ((None, {**CORRECTED, "metric": "log_loss"}, MEASURED, None), "0.940 [0.910, 0.960]"),
        ((None, {**CORRECTED, "low": None}, None, 3), f"0.900 {UNLUCKY}"),
    ],
)
def test_the_first_number_is_one_that_can_be_relied_on(known: tuple[Any, ...], said: str) -> None:
    own = own_number("accuracy", *known)
    assert own is not None
    assert own.words == said


@pytest.mark.parametrize("damaged", [None, {}, {"images": 200}, {"images": 200, "metrics": {"accuracy": None}}])
def test_nothing_known_is_nothing_said(damaged: Any) -> None:
    assert own_number("accuracy", damaged, None) is None


@pytest.mark.parametrize(("images", "first"), [(20, "0.900"), (150, "0.895")])
def test_a_reader_meets_that_number_first(tmp_path: Path, images: int, first: str) -> None:
    """In `champion show` and on the trend page; what it scores where it was chosen stands below, and is called so."""
    store = open_store(str(tmp_path))
    standing = crown(store, champion(2, asked=80, metrics={"accuracy": MEASURED}, pins=PINS), None)
    pins = Pins(PINS, 1, {1: 80}, standing=standing.serial, fresh=fresh(images), corrected=CORRECTED)
    save_pins(store, standing.name, pins)
    shown = CliRunner().invoke(champion_commands, ["show", standing.name, "--store", store.url]).output
    assert shown.index(first) < shown.index("0.940")
    assert "flatters" in shown[: shown.index("0.940")]
    night = {"execution": "x", "started": 9.0, "state": "succeeded", "outcome": "refused", "serial": standing.serial}
    numbers = {"metrics": {"accuracy": {"champion": MEASURED}}, "fresh": fresh(images), "corrected": CORRECTED}
    term = {"serial": standing.serial, "metrics": {"accuracy": MEASURED}, "crowned": 5.0, "by": "execution y", "asked": 79}
    page = trend_page("pets", [night | numbers], [term])
    assert page.index(f"{100 * float(first):.1f} %") < page.index("94.0 %")
