"""What torch refuses is a sentence with its own words and a code, by real refusals; what is ours stays a bug."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torchvision import models

from jobs.runtime import _unexpected
from tlbatch.steps import STEPS

REFUSALS: dict[str, tuple[Callable[[], object], int, str]] = {
    "one image a batch for batch norm": (lambda: nn.BatchNorm1d(4).train()(torch.zeros(1, 4)), 2, "train.batch_size"),
    "an image smaller than the kernel": (lambda: nn.Conv2d(3, 8, 7)(torch.zeros(1, 3, 4, 4)), 2, "input.size"),
    "a ViT at another size": (lambda: models.VisionTransformer(32, 8, 1, 1, 8, 8)(torch.zeros(1, 3, 40, 40)), 2, "input.size"),
    "pooled to nothing": (lambda: nn.MaxPool2d(2)(torch.zeros(1, 3, 1, 1)), 2, "input.size"),
    "features of another width": (lambda: nn.Linear(4, 2)(torch.zeros(1, 5)), 2, "input.size"),
    "more memory than there is": (lambda: torch.empty(2**50, dtype=torch.uint8), 137, "lower train.micro_batch_size"),
}


def raised(call: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever torch raises
        call()
    return caught.value


@pytest.mark.promise(12)
@pytest.mark.parametrize("name", REFUSALS)
def test_torchs_refusals_are_sentences(name: str) -> None:
    """Fails when the frames in which torch raised are not looked at: all of it is called a bug."""
    call, code, way_out = REFUSALS[name]
    error = raised(call)
    found, sentence = _unexpected(error, "finetune", debug=False)
    assert (found, way_out in sentence, str(error).splitlines()[0][:40] in sentence) == (code, True, True), sentence


def test_a_full_disk_is_later_and_our_own_mistakes_are_bugs() -> None:
    assert _unexpected(OSError(errno.ENOSPC, "No space left on device"), "extract", debug=False)[0] == 75
    assert _unexpected(raised(lambda: torch.zeros(2) + torch.zeros(3)), "extract", debug=False)[0] == 1
    assert _unexpected(raised(lambda: {}["a"]), "extract", debug=False)[0] == 1


def test_only_a_training_can_do_with_less_memory() -> None:
    """Fails where a step that trains nothing is told to lower a training's setting."""
    error = raised(REFUSALS["more memory than there is"][0])
    for step in STEPS.values():
        _, sentence = _unexpected(error, step.name, debug=False)
        assert ("train." in sentence) == (step.name == "finetune"), sentence
        assert ("resources.memory" in sentence) == step.compute, sentence
