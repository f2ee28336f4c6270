"""FORMAT: written once, and a newer one is refused with a sentence."""

from __future__ import annotations

import pytest

from tlbatch.errors import StudyError
from tlbatch.store import Store
from tlbatch.store.layout import LAYOUT_FORMAT, check_format


def test_a_new_store_gets_its_version(store: Store) -> None:
    assert check_format(store, write=False) == LAYOUT_FORMAT
    assert list(store.list()) == []
    assert check_format(store) == check_format(store) == LAYOUT_FORMAT
    assert store.get("FORMAT") == b"1\n"


def test_a_newer_layout_is_refused(store: Store) -> None:
    store.put("FORMAT", b"2\n")
    with pytest.raises(StudyError, match="has layout 2, this tlbatch reads up to 1: upgrade tlbatch"):
        check_format(store)


def test_what_is_no_version_is_refused(store: Store) -> None:
    store.put("FORMAT", b"parquet")
    with pytest.raises(StudyError, match="is not a layout version"):
        check_format(store)
