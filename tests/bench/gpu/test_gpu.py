"""`make bench-gpu` goes through on a CPU with tiny sizes, compares like with like, keeps to its time, refuses without a GPU."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.bench.gpu import __main__ as bench
from tests.bench.gpu import parts
from tests.bench.gpu.sizes import SHARES, SMALL, WHOLE
from tlbatch.spec import parse_study


def test_without_a_gpu_it_says_so_and_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # nor is one seen where there is one
    with pytest.raises(SystemExit, match="finds no CUDA device here"):
        bench.main([str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_part_that_would_pass_its_share_is_ended_and_said_to_be_missing(tmp_path: Path) -> None:
    found = bench.run_part("step", "cpu", "small", tmp_path, 0.3)
    assert found["rows"] == []
    assert found["missing"] == "step: not over after its 0 s, ended"


def test_a_part_that_fails_is_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()  # which `pictures` makes itself
    (tmp_path / "images" / "cat").mkdir()
    found = bench.run_part("pictures", "cpu", "small", tmp_path, 60)
    assert found["missing"].startswith("pictures: ended with code 1")


def test_shares_are_of_eight_minutes() -> None:
    assert sum(SHARES.values()) == pytest.approx(1.0)
    assert set(SHARES) == set(bench.ORDER) == set(parts.PARTS)


def test_what_is_short_of_its_goal_is_marked() -> None:
    rows = [
        parts.row("a", 5.0, "images/s", "b", 4.0, 1.3),
        parts.row("c", 6.0, "images/s", "d", 4.0, 1.3),
        parts.row("e", 1.0, "GiB"),
    ]
    told = bench.table(
        {"machine": {"gpu": "x"}, "parts": {"step": {"rows": rows}, "study": {"rows": [], "missing": "study: ended"}}}
    )
    assert [line.endswith("| short |") for line in told.splitlines()[4:7]] == [True, False, False]
    assert "| 1.25 | 1.30 |" in told
    assert told.endswith("missing: study: ended")


@pytest.mark.parametrize("sizes", [pytest.param(replace(WHOLE, size=64), id="vgg16", marks=pytest.mark.slow), SMALL])
def test_both_sides_train_the_same_layers(sizes: parts.Sizes) -> None:
    """Fails when the peer's network has a classifier of its own, or ours is cut elsewhere."""
    counted = []
    for network in (parts.our_network(sizes), parts.plain_network(sizes, 2)):
        with FlopCounterMode(display=False) as counter:
            network(torch.randn(1, 3, sizes.size, sizes.size))
        counted.append((sum(each.numel() for each in network.parameters()), counter.get_total_flops()))
    assert counted[0] == counted[1]


@pytest.mark.parametrize("sizes", [WHOLE, SMALL], ids=["whole", "small"])
def test_the_study_is_the_ready_made_one(sizes: parts.Sizes, tmp_path: Path) -> None:
    study = parse_study(parts.study_text(sizes, tmp_path), folder=tmp_path).study
    assert len(study.runs) == 6
    assert [run.model.weights for run in study.runs if run.model.backbone] == ["random"] * 3
    assert study.runs[-1].train.epochs == (100 if sizes is WHOLE else 1)


@pytest.mark.slow
def test_it_goes_through_on_a_cpu(tmp_path: Path) -> None:
    """Two minutes; its figures say nothing."""
    code = bench.main([str(tmp_path), "--device", "cpu", "--small", "--budget", "1800"])
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert code == 0, [part.get("missing") for part in found["parts"].values()]
    told = {each["what"]: each for part in found["parts"].values() for each in part["rows"]}
    assert {"six runs of study 1", "fine-tune step", "features", "operations of a step"} <= set(told)
    assert all(each["ours"] > 0 for each in told.values())
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.json"]
