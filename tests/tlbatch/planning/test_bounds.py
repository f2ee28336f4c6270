"""A bound that one image can break is said before anything runs: by ``check`` and ``schedule apply``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.data.split import TEST, held_out_quotas
from tests.jobs.data.test_split import entry
from tests.tlbatch.listed import STUDY
from tlbatch.cli import main
from tlbatch.datasets.listing import ListedFile, Listing
from tlbatch.planning.bounds import coarse_bounds, images_that_test
from tlbatch.spec import Study, parse_study
from tlbatch.store.directory import DirectoryStore
from tlbatch.store.layout import check_format


def study_of(test: float | int, bound: Any) -> Study:
    text = STUDY.format(name="pets").replace("train: 4, validation: 2, test: 2", f"validation: 0.1, test: {test}")
    return parse_study(f'{text}schedule: {{cron: "0 3 * * *", class_bound: {bound}}}\n').study


def listing_of(parts: dict[str | None, dict[str, int]]) -> Listing:
    files = [
        ListedFile(f"{part}/{label}/{i}.jpg", 1, "e", label, part)
        for part, counts in parts.items()
        for label, count in counts.items()
        for i in range(count)
    ]
    return Listing("pets", ("cat", "dog"), (), tuple(files))


@pytest.mark.parametrize(("cats", "dogs", "test"), [(100, 100, 0.15), (900, 40, 0.2), (300, 7, 50), (33, 31, 0.34)])
def test_there_will_be_about_so_many_test_images_as_the_split_draws(cats: int, dogs: int, test: float) -> None:
    counted = images_that_test(study_of(test, 0.05), listing_of({None: {"cat": cats, "dog": dogs}}))
    entries = [entry(f"{label}{i}", label) for label, count in (("cat", cats), ("dog", dogs)) for i in range(count)]
    drawn = held_out_quotas(entries, {"test": test, "validation": 0.1})[TEST]
    assert all(abs(counted[label] - drawn[label]) <= 1 for label in drawn)


@pytest.mark.parametrize(
    ("bound", "parts", "named"),
    [
        ("0.05", {None: {"cat": 100, "dog": 100}}, ["cat", "dog"]),  # of 100 ten are tested: 10 points an image
        ("0.05", {None: {"cat": 1000, "dog": 100}}, ["dog"]),
        ("0.1", {None: {"cat": 100, "dog": 100}}, []),
        ("{dog: 0.05}", {None: {"cat": 100, "dog": 100}}, ["dog"]),
        ("0.05", {"train": {"cat": 9, "dog": 9}, "test": {"cat": 20, "dog": 19}}, ["dog"]),
        ("null", {None: {"cat": 10, "dog": 10}}, []),
    ],
)
def test_classes_of_which_one_image_is_more_than_the_bound(bound: str, parts: Any, named: list[str]) -> None:
    """Fails when the bound is compared with two images, or with all images of a class instead of those that test it."""
    said = list(coarse_bounds(study_of(0.1, bound), listing_of(parts)))
    assert len(said) == bool(named)
    assert [name for name in ("cat", "dog") if f"{name} will have about" in "".join(said)] == named


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for label in ("cat", "dog"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(40):
            (tmp_path / "images" / label / f"{number}.png").write_bytes(b"only listed here")
    text = STUDY.format(name="pets").replace("train: 4, validation: 2, test: 2", "validation: 0.1, test: 0.1")
    (tmp_path / "study.yaml").write_text(f'{text}schedule: {{cron: "0 3 * * *", class_bound: 0.05}}\n')
    return tmp_path / "study.yaml"


COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "check": lambda study, store: ["check", str(study), "--store", str(store)],
    "schedule apply": lambda study, store: ["schedule", "apply", str(study), "--here", "--store", str(store)],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_say_it(command: str, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_format(DirectoryStore(tmp_path / "store"))
    with pytest.raises(SystemExit) as ended:
        main(COMMANDS[command](study, tmp_path / "store"))
    assert ended.value.code == 0
    told = capsys.readouterr()
    assert "warning: schedule.class_bound: cat will have about 4 test images, so that one is 25.0 points" in told.out + told.err


def test_data_that_cannot_be_seen_from_here_does_not_fail_apply(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*COMMANDS["schedule apply"](study, tmp_path / "store"), "--set", f"dataset.url={tmp_path}/elsewhere"])
    assert ended.value.code == 0
    assert "is not known" in capsys.readouterr().err
