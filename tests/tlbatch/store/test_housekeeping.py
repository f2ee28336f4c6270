"""Clearing away never fails what it cleans up after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from jobs.context import Context
from tlbatch.errors import StudyError, TransientError
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
