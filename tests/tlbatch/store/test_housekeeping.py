"""Clearing away never fails what it cleans up after: whatever it is, where a store deletes nothing or does not list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.context import Context
from jobs.prediction.summary import write_summary
from tests.tlbatch.champions.test_champion import champion
from tlbatch.champions.champion import BeatenError, crown, load_champion, terms
from tlbatch.contracts.prediction import PredictParams
from tlbatch.datasets.relabelling import Corrections, load_corrections, save_corrections, undo
from tlbatch.errors import StudyError, TransientError
from tlbatch.schedules.open_firings import close_firing
from tlbatch.store import ConflictError
from tlbatch.store.directory import DirectoryStore
from tlbatch.store.protocol import Stat
from tlbatch.tasks import Task


class Stubborn(DirectoryStore):
    """Deletes nothing: a server that wants Content-MD5, a key without s3:DeleteObject."""

    def delete(self, names: Iterable[str]) -> None:
        if list(names):
            raise StudyError("400 MissingContentMD5")


class Unlistable(DirectoryStore):
    """Lists nothing."""

    def list(self, prefix: str = "") -> Iterator[Stat]:
        raise TransientError("503 SlowDown")


@pytest.mark.parametrize("kind", [Stubborn, Unlistable])
def test_checkpoints_are_kept_and_a_task_ends_well_where_old_ones_cannot_be_cleared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: type[DirectoryStore]
) -> None:
    """A long training on such a server failed when its second checkpoint came."""
    store = kind(tmp_path / "store")
    (tmp_path / "scratch").mkdir()
    context = Context(store, Task("finetune", {}, {}, {}), "attempt", tmp_path / "scratch")
    weights = tmp_path / "weights"
    weights.write_bytes(b"1")
    context.save_checkpoint(1, {"weights": weights})
    context.save_checkpoint(2, {"weights": weights})
    context.write_json("a.json", {})
    assert context.finish() is not None
    assert "not cleared away, which does no harm" in capsys.readouterr().err


def beaten_to_the_champion(store: Any) -> None:
    crown(store, champion(1), None)
    etag = load_champion(store, "pets")[1]
    plain = store.put

    def put(name: str, data: bytes, **conditions: Any) -> str:
        if name == "champions/pets.json":
            raise ConflictError(name)
        return str(plain(name, data, **conditions))

    store.put = put
    with pytest.raises(BeatenError):
        crown(store, replace(champion(2), before=1), etag)
    assert [each.serial for each in terms(store, "pets")] == [1]


def beaten_at_relabelling_and_undone(store: Any) -> None:
    nothing = load_corrections(store, "pets")
    save_corrections(store, "pets", {"a.jpg": "cat"}, nothing)
    with pytest.raises(TransientError, match="changed meanwhile"):
        save_corrections(store, "pets", {"a.jpg": "dog"}, Corrections({}, None))
    before, after = undo(store, "pets")
    assert (before, after, load_corrections(store, "pets").labels) == ({"a.jpg": "cat"}, {}, {})
    save_corrections(store, "pets", {"b.jpg": "cat"}, load_corrections(store, "pets"))
    assert undo(store, "pets")[1] == {}


def a_shorter_prediction(store: Any) -> None:
    store.put("predictions/part-00007.jsonl", b"of a longer listing")
    model: Any = SimpleNamespace(
        classes=["cat"], temperature=SimpleNamespace(value=None, why="none"), precision="fp32", folds=1
    )
    asked: dict[str, Any] = {"source": "s", "out": "o", "files": "", "identity": {}, "format": "jsonl", "chunk": 20}
    params = PredictParams(**asked, batch=None, raw=False, stored_size=512)
    assert write_summary(store, params, model, [], {})["images"] == 0


def a_firing_that_ended(store: Any) -> None:
    store.put("schedules/pets/open/pets-1.json", b"{}")
    close_firing(store, "pets", "pets-1")


CLEANERS: dict[str, Callable[[Any], None]] = {
    each.__name__: each
    for each in (beaten_to_the_champion, beaten_at_relabelling_and_undone, a_shorter_prediction, a_firing_that_ended)
}


@pytest.mark.parametrize("cleaner", CLEANERS)
def test_what_was_to_be_done_is_done(cleaner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Failed before: each ended with the store's refusal in place of its own result."""
    CLEANERS[cleaner](Stubborn(tmp_path / "store"))
    assert "400 MissingContentMD5" in capsys.readouterr().err


ON_PURPOSE = {
    "tlbatch/doctor.py",  # a try-out: whether objects can be deleted at all is what it asks
    "tlbatch/records/garbage.py",  # gc and rm
    "tlbatch/fsck/repairing.py",
    "tlbatch/prediction/parts.py",  # --overwrite
    "tlbatch/schedules/applying.py",  # schedule delete
    "tlbatch/store/artifacts.py",  # a manifest that does not hold must not stay
    "tlbatch/store/housekeeping.py",
}


def test_nothing_else_deletes_objects() -> None:
    """Fails when a clean-up calls ``store.delete`` itself."""
    root = Path(__file__).parents[3]
    sources = [path for package in ("tlbatch", "jobs") for path in (root / package).rglob("*.py")]
    deleting = re.compile(r"\b(store|out)\.delete\(")
    found = {path.relative_to(root).as_posix() for path in sources if deleting.search(path.read_text(encoding="utf-8"))}
    assert found == ON_PURPOSE
