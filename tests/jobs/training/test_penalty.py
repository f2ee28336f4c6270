"""L2-SP: weights that are held to where they started, against plain torch and the paper's own words."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch.nn import functional

from jobs.randomness import seed_layers
from jobs.strategies.finetune import phases_of
from jobs.training.batches import TARGET
from jobs.training.learning import Learning
from jobs.training.penalty import l2_sp
from jobs.training.phases import Phases
from jobs.training.protocol import HEAD
from jobs.training.trainer import Recipe, Trainer
from tests.jobs.training.test_trainer import TinyFeed, TinyNetwork, _assert_equal, _state
from tlbatch.errors import Stopped, StudyError
from tlbatch.spec import parse_study
from tlbatch.spec.train import Train
from tlbatch.strategies.finetune import FINETUNE, Finetune

ALPHA, BETA = 0.5, 0.05
HIGH = Finetune(unfreeze=("high",), batch_norm="train")


def trainer(
    finetune: Finetune | None, tick: Any = lambda trainer, end: None, alpha: float = ALPHA, lr: float = 0.05
) -> Trainer:
    train = Train(epochs=2, batch_size=8, optimizer="sgd", momentum=0.0, lr=lr, select="last")
    phases = Phases() if finetune is None else phases_of(finetune)
    held = Learning({TARGET: TinyFeed()}, penalty=partial(l2_sp, alpha, BETA), phases=phases)
    return Trainer(TinyNetwork(), held, Recipe(train, ["a", "b", "c"], seed=1, lr=lr), tick)


@pytest.mark.parametrize("finetune", [None, HIGH], ids=["all", "high"])
def test_each_step_is_that_of_a_plain_loop(finetune: Finetune | None) -> None:
    """Fails when the start is not that of the network, when the head is held to its start, or frozen weights count."""
    ours = trainer(finetune)
    ours.run()
    feed, plain, start = TinyFeed(), TinyNetwork(), TinyNetwork()
    learning = ("low", "high", HEAD) if finetune is None else ("high", HEAD)
    plain.freeze(learning)
    weights = [parameter for stage in learning for parameter in plain.parameters_of(stage)]
    sampler = Learning({TARGET: feed}).sampler(ours.recipe.train, 1)
    for epoch in range(2):
        plain.train_mode("train", 8)
        for step in range(sampler.steps):
            rows = sampler.batch(epoch, step)
            x = feed.batch(rows, epoch, step)
            seed_layers(1, "layers", epoch, step)
            loss = functional.cross_entropy(plain(x), feed.train_labels[rows])
            for stage in ("low", "high", HEAD):
                for w, began in zip(plain.parameters_of(stage), start.parameters_of(stage), strict=True):
                    loss = loss + (BETA / 2 * (w**2).sum() if stage == HEAD else ALPHA / 2 * ((w - began) ** 2).sum())
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for w, gradient in zip(weights, gradients, strict=True):
                    w -= 0.05 * gradient
    found = _state(ours)
    for name, w in plain.state_dict().items():
        assert torch.allclose(found[name], w, atol=1e-5), name


def test_the_more_it_is_held_the_less_it_strays() -> None:
    strayed = []
    for alpha in (0.0, 1.0, 10.0):
        ours, began = trainer(None, alpha=alpha), _state(trainer(None))
        ours.run()
        moved = [(w - began[n]).norm() for n, w in ours.network.named_parameters() if not n.startswith(HEAD)]
        strayed.append(float(torch.stack(moved).detach().norm()))
    assert strayed[0] > 1.2 * strayed[1] > 1.44 * strayed[2]


def test_what_is_recorded_is_the_loss_without_it() -> None:
    ours, free = trainer(None, lr=1e-9), Trainer(TinyNetwork(), TinyFeed(), trainer(None, lr=1e-9).recipe)
    ours.run()
    free.run()
    assert ours.place.epochs[0]["train_loss"] == pytest.approx(free.place.epochs[0]["train_loss"], abs=1e-6)


@pytest.mark.promise(2)
def test_who_goes_on_is_held_to_the_first_start() -> None:
    """Fails when the start is taken after a checkpoint was restored; it is not stored in one."""
    whole = trainer(HIGH)
    whole.run()

    def stop(trainer: Trainer, epoch_end: bool) -> None:
        if trainer.place.epoch == 1 and trainer.place.step == 2:
            raise Stopped("now")

    stopped = trainer(HIGH, stop)
    with pytest.raises(Stopped):
        stopped.run()
    free = Trainer(TinyNetwork(), Learning({TARGET: TinyFeed()}, phases=phases_of(HIGH)), stopped.recipe)
    assert stopped.snapshot().tensors.keys() == free.snapshot().tensors.keys()
    resumed = trainer(HIGH)
    resumed.restore(stopped.snapshot())
    resumed.run()
    _assert_equal(_state(whole), _state(resumed))


STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {{url: pets}}
runs:
  - {{name: one, model: {{backbone: vgg16}}, strategy: {{finetune: {{unfreeze: {unfreeze}, l2_sp: {{}}}}}}}}
"""


@pytest.mark.parametrize("unfreeze", ["none", "[]", "[head]"])
def test_where_nothing_of_the_backbone_learns_it_is_refused(unfreeze: str) -> None:
    with pytest.raises(StudyError, match=r"runs\[0\]\.strategy\.finetune\.l2_sp: nothing of the backbone learns"):
        parse_study(STUDY.format(unfreeze=unfreeze))


def test_it_is_named_and_left_out_of_what_does_not_ask_for_it() -> None:
    """Keys follow these words: a study without it has the key that it always had."""
    settings = parse_study(STUDY.format(unfreeze="all")).study.runs[0].strategy_settings
    assert settings is not None
    asked = settings.model_dump(mode="json")
    assert asked["l2_sp"] == {"alpha": 0.1, "beta": 0.01}
    assert FINETUNE.label(asked) == "finetune all, L2-SP 0.1/0.01"
    assert "held to where it started (L2-SP)" in FINETUNE.phrase(asked, "")
    assert "l2_sp" not in Finetune().model_dump(mode="json")
    assert Finetune.of(Finetune().model_dump(mode="json")) == Finetune()
