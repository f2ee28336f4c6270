"""Other test images on demand: what is promised, what is refused, and that the next firing is told once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import pytest

from tests.tlbatch.schedules.test_schedule import study
from tlbatch.errors import StudyError
from tlbatch.schedules.applying import apply_here
from tlbatch.schedules.pins import Pins, load_pins, save_pins
from tlbatch.schedules.renewing import renew
from tlbatch.store import Store
from tlbatch.store.artifacts import FileEntry, Manifest, manifest_name
from tlbatch.tasks import InputRef


def pinned(store: Store, fresh: Sequence[str]) -> None:
    """A schedule with 30 pinned test images, and fresh ones of these classes."""
    apply_here(study(), store)
    path, test = "artifacts/pin/one/pins.json", [{"id": f"t{i}", "label": ("cat", "dog")[i % 2]} for i in range(30)]
    data = json.dumps({"test": test, "fresh": [{"id": f"f{i}", "label": each} for i, each in enumerate(fresh)]}).encode()
    store.put(path, data)
    manifest = Manifest("pin", "a" * 40, {"pins.json": FileEntry(path, len(data), hashlib.sha256(data).hexdigest())})
    store.put(manifest_name("pin", "a" * 40), manifest.to_json())
    save_pins(store, "pets", Pins(InputRef("pin", "a" * 40, manifest.digest), 3, {1: 2, 3: 120}))


def test_the_fresh_images_are_promised_and_the_next_firing_is_told(store: Store) -> None:
    pinned(store, ["cat", "dog"] * 20)
    said = renew(store, "pets")
    assert said == (
        "pets: the next firing pins 40 other test images (version 4), on which nobody has trained or decided; "
        "the 30 of version 3 train from then on"
    )
    pins = load_pins(store, "pets")
    assert pins is not None
    assert (pins.renew, pins.version, pins.asked) == (3, 3, 120)
    later = save_pins(store, "pets", Pins(pins.ref, 4, {4: 0}))
    assert later.renew != later.version, "version 4 is what was asked for: nobody asked for another"


@pytest.mark.parametrize(("fresh", "said"), [(["cat", "dog"] * 5, "10 wait so far"), (["cat"] * 30, "and none of dog")])
def test_too_few_and_none_of_a_class_are_refused(store: Store, fresh: list[str], said: str) -> None:
    pinned(store, fresh)
    with pytest.raises(StudyError, match=said):
        renew(store, "pets")


def test_before_the_first_firing_there_is_nothing_to_renew(store: Store) -> None:
    apply_here(study(), store)
    with pytest.raises(StudyError, match="has pinned no test images yet"):
        renew(store, "pets")
