"""Other test images for a schedule: those that judged and have not trained take the place of the worn ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tlbatch import nouns
from tlbatch.champions.judged import fresh_pins, pinned_images
from tlbatch.errors import StudyError
from tlbatch.schedules.pins import change_pins, load_pins
from tlbatch.schedules.schedule import load_schedule, schedule_of
from tlbatch.store import Store

FEWEST = 20  #: images of a test set that anybody could decide by


def renew(store: Store, name: str) -> str:
    """Ask the next firing for other test images; returns what it will do, in a sentence.

    Raises StudyError where there are too few images that no model has trained on, or none of some class.
    """
    schedule = schedule_of(load_schedule(store, name).loaded)
    pins = load_pins(store, name)
    if pins is None:
        raise StudyError(f"{name} has pinned no test {nouns.items()} yet: its first firing does")
    waiting, now = Counter(fresh_pins(store, pins.ref)), pinned_images(store, pins.ref) or frozenset()
    missing = sorted({label for _, label in now} - set(waiting))
    if waiting.total() < FEWEST or missing:
        lack = f", and none of {', '.join(missing[:3])}{' and more' if len(missing) > 3 else ''}" if missing else ""
        raise StudyError(
            f"{name}: other test {nouns.items()} must be such that no champion trained on them; {waiting.total():,} "
            f"wait so far{lack}. "
            f"Of all new {nouns.items()} {schedule.fresh:.0%} wait (schedule.fresh, at most as many as are pinned): "
            f"let more come in, "
            "or raise it"
        )
    change_pins(store, name, lambda present: replace(present, renew=present.version))
    return (
        f"{name}: the next firing pins {waiting.total():,} other test {nouns.items()} (version {pins.version + 1}), "
        f"on which nobody has "
        f"trained or decided; the {len(now):,} of version {pins.version} train from then on"
    )
