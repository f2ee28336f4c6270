"""Other test images for a schedule: those that judged and have not trained take the place of the worn ones."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from tlbatch import nouns
from tlbatch.champions.judged import pinned_labels
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
    waiting, now = pinned_labels(store, pins.ref, "fresh"), pinned_labels(store, pins.ref, "test")
    missing = sorted(set(chain(*now)) - set(chain(*waiting)))
    if len(waiting) < FEWEST or missing:
        lack = f", and none of {', '.join(missing[:3])}{' and more' if len(missing) > 3 else ''}" if missing else ""
        raise StudyError(
            f"{name}: other test {nouns.items()} must be such that no champion trained on them; {len(waiting):,} "
            f"wait so far{lack}. "
            f"Of all new {nouns.items()} {schedule.fresh:.0%} wait (schedule.fresh, at most as many as are pinned): "
            f"let more come in, "
            "or raise it"
        )
    change_pins(store, name, lambda present: replace(present, renew=present.version))
    return (
        f"{name}: the next firing pins {len(waiting):,} other test {nouns.items()} (version {pins.version + 1}), "
        f"on which nobody has "
        f"trained or decided; the {len(now):,} of version {pins.version} train from then on"
    )
