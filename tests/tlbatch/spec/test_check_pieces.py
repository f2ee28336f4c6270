"""train.micro_batch_size that cannot be: refused, with the place and the way out, by the command and its exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbatch.cli import main
from tlbatch.errors import StudyError
from tlbatch.spec.load import parse_study

STUDY = """apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {{url: pets, split: {{validation: 0.2, test: 0.2}}}}
{sources}runs:
  - name: tuned
    model: {{backbone: mobilenet_v2{head}}}
    strategy: {strategy}
    train: {{batch_size: 32, micro_batch_size: {size}}}
"""
FINETUNE = "{finetune: {unfreeze: all}}"


def written(size: object, strategy: str = FINETUNE, head: str = "", sources: str = "") -> str:
    return STUDY.format(size=size, strategy=strategy, head=head, sources=sources)


def said(text: str) -> str:
    try:
        parse_study(text)
    except StudyError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("size", [1, 2, 31, 32, "null"])
def test_as_many_as_a_batch_or_fewer(size: object) -> None:
    assert said(written(size)) == ""


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "must be at least 1, not 0"),
        (-8, "must be at least 1, not -8"),
        (33, "must be at most batch_size (32), of which it is a piece: lower it, or leave it out"),
        (7.5, "whole number"),
        ("half", "whole number"),
        ("true", "whole number"),
        ("[8]", "whole number"),
    ],
)
def test_what_is_no_piece_of_a_batch_ends_with_2(
    size: object, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(written(size))
    with pytest.raises(SystemExit) as ended:
        main(["check", str(study)])
    found = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"{study}:9: runs[0].train.micro_batch_size: " in found
    assert expected in found, found


def test_a_strategy_that_computes_whole_batches_says_which_do_not() -> None:
    sources = "sources: {films: {url: films, split: {validation: 0.2}}}\n"
    found = said(written(8, "{adapt_network: {method: deep_coral}}", sources=sources))
    assert "adapt_network computes whole batches, features, scratch, finetune in pieces, too: leave it out" in found


def test_one_image_has_no_statistics() -> None:
    head = ", head: {dense: [8], batch_norm: true}"
    assert "runs[0].train.micro_batch_size: the head's batch_norm has no statistics of one image" in said(written(1, head=head))
    assert said(written(2, head=head)) == ""
