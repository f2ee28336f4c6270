"""The exponents, the invented bucket, the counted store and the sum on paper that `docs/growth.md` rests on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench.growth.bucket import Invented
from tests.bench.growth.counted import CountedStore
from tests.bench.growth.fits import exponent
from tests.bench.growth.nodes import Rates, alone_share, stages, total_s
from tests.bench.growth.page import BEGIN, END, SUBJECTS, page
from tests.bench.growth.points import CURVES, bucket
from tlbatch.datasets.inventory import list_dataset
from tlbatch.spec.dataset import Dataset
from tlbatch.store import Store
from tlbatch.store.directory import DirectoryStore


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("constant", [0.0, 3.0])
def test_the_exponent_is_that_of_the_curve_whatever_is_constant(power: float, constant: float) -> None:
    xs = [1, 10, 100, 1000]
    assert exponent(xs, [constant + 2.5 * x**power for x in xs]) == pytest.approx(power, abs=0.03)


def test_what_does_not_grow_has_no_exponent() -> None:
    assert exponent([1, 10, 100], [5.0, 5.1, 5.2]) is None
    assert exponent([1, 10], [1.0, 10.0]) is None
    assert exponent([1, 10, 100], [5.0, 4.0, 50.0]) is None


@pytest.mark.parametrize(("count", "classes"), [(1, 1), (7, 3), (25, 4), (1000, 10)])
def test_invented_keys_are_in_order_and_dealt_out(count: int, classes: int) -> None:
    keys = [*Invented(count, classes)]
    assert len(set(keys)) == count
    assert keys == sorted(keys)
    assert len({key.partition("/")[0] for key in keys}) == min(count, classes)


@pytest.mark.parametrize("by_folder", [True, False])
@pytest.mark.parametrize("most", [1, 3, 1000])
def test_invented_pages_are_those_of_a_listing(by_folder: bool, most: int) -> None:
    made = Invented(23, 4)
    for prefix in ("", "class0001/", "class00", "class0003/0000000", "no/"):
        found: list[str] = []
        token: int | None = 0
        while token is not None:
            keys, folders, token = made.page(prefix, by_folder, token, most)
            assert len(keys) + len(folders) <= most
            found += keys + folders
        own = [key for key in made if key.startswith(prefix)]
        whole = {prefix + rest.partition("/")[0] + "/" if "/" in (rest := key[len(prefix) :]) else key for key in own}
        assert found == sorted(whole if by_folder else own)


def test_tlbatch_lists_the_invented_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, os.environ.get(name, "x"))  # as they were, afterwards
    with bucket(2500, 20) as asked:
        listing = list_dataset(Dataset(url="s3://invented"))
    assert [file.path for file in listing.files] == [*Invented(2500, 20)]
    assert 3 <= len(asked) <= 25


def test_requests_and_bytes_are_counted(directory_store: DirectoryStore, tmp_path: Path) -> None:
    counted: Any = CountedStore(directory_store)
    store: Store = counted
    for number in range(3):
        store.put(f"a/{number}", b"12345")
    assert store.get("a/1") == b"12345"
    store.download("a/2", tmp_path / "x")
    assert len([*store.list("a/")]) == 3
    assert (counted.requests, counted.bytes) == (6, 25)


# -- on paper ---------------------------------------------------------------------------------------------------------------

ONE = Rates(**{field.name: 1.0 if field.name != "searched_of" else 1 for field in fields(Rates)})
NOTHING = dict.fromkeys(("listed", "merged", "searched", "decided", "fitted", "judged", "image_bytes", "feature_bytes"), 0.0)
FREE = replace(ONE, start=0, starts=1e12, **NOTHING)


def test_what_is_shared_alone_shrinks_with_the_nodes() -> None:
    one, ten = (total_s(stages(1000, nodes, 2, FREE)) for nodes in (1, 10))
    assert one == pytest.approx(1000 * 3 / 2)  # read, decoded, computed: a second of a core each
    assert ten == pytest.approx(one / 10)


def test_what_one_task_does_stays() -> None:
    """Amdahl: with a third of the work alone nothing is three times as fast."""
    rates = replace(FREE, judged=0.75)
    assert alone_share(1000, 2, rates) == pytest.approx(1 / 3)
    one, many = (total_s(stages(1000, nodes, 2, rates)) for nodes in (1, 10**6))
    assert one / many == pytest.approx(3, rel=0.01)


def test_near_copies_grow_faster_than_images() -> None:
    rates = replace(FREE, searched=1.0, searched_of=100, read=0, decoded=0, computed=0)
    assert total_s(stages(100, 1, 1, rates)) == pytest.approx(100)
    assert total_s(stages(10_000, 50, 1, rates)) == pytest.approx(100 * 1000)
    of_eight_cores = stages(10_000, 50, 8, replace(rates, decided=0.1))
    assert total_s(of_eight_cores) == pytest.approx(100 * 1000 / 8 + 1000), "of one pod, and what one process decides"


def test_the_store_bounds_what_nodes_fetch() -> None:
    rates = replace(FREE, read=0, decoded=0, computed=0, image_bytes=10.0, down=100.0, store=500.0)
    shared = [sum(stage.shared for stage in stages(1000, nodes, 8, rates)) for nodes in (1, 5, 50)]
    assert shared == pytest.approx([300.0, 60.0, 60.0])


def test_starts_grow_with_the_nodes() -> None:
    rates = replace(FREE, start=5.0, starts=2.0)
    assert [stage.start for stage in stages(1, 10, 1, rates) if stage.name.startswith("extract")] == [10.0]


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one of each"):
        stages(1000, 0, 2, ONE)


# -- the page ---------------------------------------------------------------------------------------------------------------


def test_every_curve_has_a_subject_and_the_page_is_written_between_its_marks(tmp_path: Path) -> None:
    from tests.bench.growth.__main__ import SIZES

    assert set(CURVES) == set(SUBJECTS) == set(SIZES)
    (tmp_path / "growth.md").write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    points = [{"x": x, "cpu_s": 1 + x / 100, "peak_mib": 50.0, "bytes": 1e6 * x} for x in (1, 10, 100)]
    told = {"machine": {"cpu": "C", "cores": "2", "has": "", "python": "3"}, "date": "2026-01-01"}
    page({**told, "curves": {"check_runs": {"points": points, "left_out": [1000]}}}, tmp_path)
    text = (tmp_path / "growth.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| CPU s | runs | 1, 10, 100 | 1, 1.1, 2 | 1.0 |" in text
    assert "| MB to and fro | runs | 1, 10, 100 | 1, 10.0, 100 | 1.0 |" in text
    assert "| 1,000 | not within its share of time |" in text
    assert (tmp_path / "growth.svg").read_text().lstrip().startswith("<?xml")


def test_a_point_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.growth.points", "list_executions_of_a_store", "5", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"requests": 6' in done.stdout
