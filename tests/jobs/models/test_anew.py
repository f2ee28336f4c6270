"""Stages that start anew: random, another start for each seed, with statistics that learn; the others keep theirs."""

from __future__ import annotations

import pytest
import torch

from jobs.models.anew import start_anew
from jobs.models.network import Network
from jobs.models.pretrained import Pretrained
from tests.jobs.models.test_network import HEAD, SIZE, changed, network_of, state, train
from tlbatch.errors import StudyError
from tlbatch.spec import parse_study

TRANSFER = "stage3"


def anew(seed: int) -> tuple[Network, set[str]]:
    """A network whose stages after TRANSFER start anew, and the names of the values that are others than before."""
    network = network_of("mobilenet_v2")
    before = state(network)
    model = {"backbone": {"name": "mobilenet_v2", "weights": {}}, "layer": None, "pool": "avg", "head": HEAD}
    start_anew(network, model, {"size": SIZE, "grayscale": False}, Pretrained("given", seed=1), TRANSFER, seed=seed)
    return network, changed(before, network.state_dict())


def stages_of(network: Network, names: set[str]) -> set[str]:
    short = {name.removeprefix("backbone.body.") for name in names}
    return {stage.name for stage in network.stages if any(stage.holds(name) for name in short)}


def test_stages_up_to_it_keep_their_weights_and_later_ones_do_not() -> None:
    """Breaks when a later stage keeps a pretrained weight, or an earlier one or the head loses its own."""
    network, touched = anew(seed=5)
    order = [stage.name for stage in network.backbone.stages]
    assert stages_of(network, touched) == set(order[order.index(TRANSFER) + 1 :])
    weights = {name for name, parameter in network.named_parameters() if parameter.dim() > 1}
    later = {name for name in weights if stages_of(network, {name}) <= set(order[order.index(TRANSFER) + 1 :])}
    assert later - {name for name in weights if name.startswith("head.")} <= touched


def test_each_seed_starts_from_its_own_values_and_always_from_the_same() -> None:
    (first, _), (again, _), (other, _) = anew(5), anew(5), anew(6)
    assert not changed(state(first), state(again))
    assert changed(state(first), state(other))


def test_new_statistics_learn_though_batches_are_small_and_old_ones_do_not() -> None:
    """``batch_norm: auto`` keeps pretrained statistics below 32 images; those of new stages are worth nothing yet."""
    network, _ = anew(5)
    before = state(network)
    train(network, [stage.name for stage in network.stages], "auto", 6)
    means = {name for name in changed(before, network.state_dict()) if name.endswith("running_mean")}
    order = [stage.name for stage in network.stages]
    assert stages_of(network, means) == set(order[order.index(TRANSFER) + 1 :])
    assert torch.isfinite(network.eval()(torch.zeros(1, 3, SIZE, SIZE))).all()


STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: yosinski
dataset: {{url: images, split: {{train: 8, validation: 4, test: 4}}}}
runs:
  - {{name: one, model: {{backbone: vgg16}}, strategy: {{finetune: {settings}}}}}
"""


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("{transfer: block9}", "unknown stage 'block9' of vgg16"),
        ("{transfer: block5}", "block5 is the last stage before the head, so that nothing starts anew: leave it out"),
        ("{transfer: block2, unfreeze: [block5]}", "block3 starts anew and does not learn: name it in unfreeze"),
        ("{transfer: block2, unfreeze: none}", "block3 starts anew and does not learn"),
    ],
)
def test_what_comes_to_nothing_is_refused(settings: str, sentence: str) -> None:
    with pytest.raises(StudyError, match=sentence):
        parse_study(STUDY.format(settings=settings))


def test_frozen_and_tuned_studies_are_taken() -> None:
    for settings in ("{transfer: block3, unfreeze: [block4, block5]}", "{transfer: block3}"):
        parse_study(STUDY.format(settings=settings))
