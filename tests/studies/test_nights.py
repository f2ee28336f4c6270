"""A schedule's firings as a whole, on drawn pictures: pins, champion, decision."""

from __future__ import annotations

from tests.studies.nights import Nights
from tests.studies.shapes import Bench, draw_shapes
from tlbatch.champions import load_champion

SCHEDULE = """
schedule: {cron: "0 3 * * *", promote: not_worse}
"""


def test_a_first_champion_then_a_challenger(fresh: Bench) -> None:
    fresh.study.write_text(fresh.study.read_text() + SCHEDULE)
    nights = Nights(fresh)
    first = nights.fire()
    assert first.decision["outcome"] == "first"
    print(first.decision["sentence"])
    champion, _ = load_champion(nights.store, "shapes")
    assert champion is not None
    draw_shapes(fresh.images, 5, first=900)
    second = nights.fire()
    print(second.decision["sentence"])
    assert second.pins == first.pins
