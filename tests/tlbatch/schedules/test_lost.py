"""What firings decided on is gone: the next one pins nothing else in its place, and crowns nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tlbatch.champions.test_champion import champion
from tests.tlbatch.schedules.pets import STUDY
from tests.tlbatch.store.test_documents import REF
from tlbatch.champions.champion import crown
from tlbatch.cli import _code
from tlbatch.schedules.firings import SUCCEEDED, FiringRecord, save_firing
from tlbatch.schedules.pins import Pins, save_pins
from tlbatch.schedules.schedule import HERE, StoredSchedule, change_schedule
from tlbatch.store import Store


@pytest.mark.parametrize("lost", ["schedules/pets/pins.json", "champions/pets.json"])
def test_a_firing_does_not_begin_anew_by_itself(
    directory_store: Store, lost: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: other images were pinned as version 1, "asked once", and a champion was crowned on them."""
    monkeypatch.setenv("TLBATCH_CONFIG", str(tmp_path / "none.yaml"))
    store = directory_store
    change_schedule(store, "pets", lambda _: StoredSchedule("pets", STUDY, 1.0, 1.0, where=HERE))
    save_pins(store, "pets", Pins(REF, 1, {1: 2}))
    crown(store, champion(1), None)
    save_firing(store, FiringRecord("pets", "pets-20261128-0412-abcd", "cron", 1e9, 1e9, 1e9, SUCCEEDED, serial=1))
    store.delete([lost])
    before = {stat.name for stat in store.list("schedules/")} | {stat.name for stat in store.list("champions/")}
    assert _code(["schedule", "trigger", "pets", "--here", "--store", store.url, "-q"]) == 65
    said = capsys.readouterr()
    assert f"{lost} is damaged (it is gone, though firings" in said.out + said.err
    after = {stat.name for stat in store.list("schedules/")} | {stat.name for stat in store.list("champions/")}
    assert lost not in after
    assert before <= after
