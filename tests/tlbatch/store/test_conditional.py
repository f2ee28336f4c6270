"""A store that ignores conditions is refused by everything that writes, and asked only once in its life."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbatch.errors import StudyError
from tlbatch.store import Store
from tlbatch.store.conditional import CHECKED_NAME
from tlbatch.store.directory import DirectoryStore
from tlbatch.store.layout import check_format


class Careless(DirectoryStore):
    """Knows no If-None-Match, as an old S3 server."""

    def put(self, name: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        return super().put(name, data, if_match=if_match)


class Forgetful(DirectoryStore):
    """Knows no If-Match."""

    def put(self, name: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        return super().put(name, data, if_absent=if_absent)


def test_a_store_with_conditional_writes_is_asked_once(store: Store) -> None:
    check_format(store)
    assert [stat.name for stat in store.list()] == [CHECKED_NAME, "FORMAT"]
    etag = store.get_with_etag(CHECKED_NAME)[1]
    check_format(store)
    assert store.get_with_etag(CHECKED_NAME)[1] == etag


@pytest.mark.parametrize(("kind", "words"), [(Careless, "ignores If-None-Match"), (Forgetful, "ignores If-Match")])
def test_a_store_without_is_refused_each_time(tmp_path: Path, kind: type[DirectoryStore], words: str) -> None:
    for _ in range(2):
        with pytest.raises(StudyError, match=words):
            check_format(kind(tmp_path))
    assert not (tmp_path / CHECKED_NAME).exists()
    check_format(kind(tmp_path), write=False)  # reading needs none
