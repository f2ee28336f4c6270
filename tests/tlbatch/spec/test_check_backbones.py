"""Checks against the real catalogue: which stages are part of a model at all."""

from __future__ import annotations

import pytest

from tlbatch.errors import StudyError
from tlbatch.spec import parse_study


@pytest.mark.parametrize(
    ("model", "stage"),
    [
        ("{backbone: vgg16}", "fc"),
        ("{backbone: vgg16, layer: block4_conv2}", "block5"),
        ("{backbone: vgg16, layer: block3}", "block4"),
    ],
)
def test_a_stage_behind_the_layer_cannot_be_unfrozen(model: str, stage: str) -> None:
    text = (
        "apiVersion: tlbatch/v1\nkind: Study\nname: s\ndataset: {url: x}\nruns:\n"
        f"  - {{name: a, model: {model}, strategy: {{finetune: {{unfreeze: [{stage}]}}}}}}\n"
    )
    with pytest.raises(StudyError, match=f"{stage} comes after"):
        parse_study(text)


def test_a_grey_scratch_network_takes_one_channel() -> None:
    text = (
        "apiVersion: tlbatch/v1\nkind: Study\nname: s\ndataset: {url: x}\nruns:\n"
        "  - {name: a, model: {scratch: {}}, input: {grayscale: true, normalize: imagenet}}\n"
    )
    with pytest.raises(StudyError, match="a grey image has one"):
        parse_study(text)
