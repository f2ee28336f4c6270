"""Small JPEGs cut from photographs, up to 200,000: what preparing them holds in memory, and which planted copies it finds.

200,000 take a quarter of an hour of one core, under ``make claims``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.test_prepare import prepare
from tests.jobs.preparation.pieces import found_of, write_pieces
from tests.requirements import chaos_only
from tlbatch.store.artifacts import Artifact
from tlbatch.store.directory import DirectoryStore

LEAST_FOUND = 0.95


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(("count", "most_mib"), [(5_000, 200), pytest.param(200_000, 600, marks=chaos_only)])
def test_pieces_of_photographs(tmp_path: Path, shared_data: Callable[[str], Path], count: int, most_mib: int) -> None:
    photographs = sorted(shared_data("data").glob("*/*/*.jpg"))
    random.Random(0).shuffle(photographs)
    truth = write_pieces(photographs, tmp_path / "images", count, count // 100)
    store = DirectoryStore(tmp_path / "store")
    manifest = prepare(tmp_path / "images", tmp_path / "store", timeout_s=7200)
    found, others = found_of(truth, Artifact(store, manifest, tmp_path).read_json("card.json"))
    told = {name: manifest.made[name] for name in ("reading_s", "duplicates_s", "packing_s", "peak_memory_mib")}
    print(json.dumps({"found": found, "groups of others": others, **told}))
    assert manifest.made["images"] == count
    assert manifest.made["peak_memory_mib"] < most_mib
    assert sum(some for some, _ in found.values()) >= LEAST_FOUND * sum(of for _, of in found.values())
