"""Batches of several roles: which images make them up, and that a training on them stops and goes on bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from jobs.training.batches import TARGET, Batch, Feed
from jobs.training.learning import Learning
from jobs.training.objective import Counts, Forward, Objective, build_cross_entropy
from jobs.training.trainer import Trainer
from tests.jobs.training.test_trainer import TinyFeed, TinyNetwork, _assert_equal, _recipe, _state
from tlbatch.errors import Stopped
from tlbatch.spec.train import Train

FILMS = "source:films"


def both(train: Train, classes: list[str], feeds: Mapping[str, Feed]) -> Objective:
    """The mean over roles, a source's noised by chance of its own and weighing more as the training goes on."""
    entropy = build_cross_entropy(train, classes, feeds[TARGET].train_labels)

    def objective(network: Forward, batches: Mapping[str, Batch]) -> tuple[Tensor, Counts]:
        target, counts = entropy.of(network, batches[TARGET])
        films = batches[FILMS]
        noise = 0.1 * torch.randn(films.x.shape, generator=films.at.generator("noise"))
        source, more = entropy.of(network, Batch(films.x + noise, films.labels, films.at))
        return target + films.at.share * source, Counts(counts.images + more.images, counts.right + more.right)

    return objective


def learning(films: int = 50) -> Learning:
    return Learning({TARGET: TinyFeed(), FILMS: TinyFeed(n=films, noise=0.5)}, both, {FILMS: 5})


def test_a_source_comes_in_whole_passes_of_its_own() -> None:
    """Every image of it as often as any other, in another order than the target's, as many steps as the target has."""
    samplers = learning(films=10).samplers(Train(batch_size=8, epochs=4), seed=1)
    assert samplers[FILMS].steps == samplers[TARGET].steps == 5
    drawn = [samplers[FILMS].batch(epoch, step) for epoch in range(4) for step in range(5)]
    assert {len(batch) for batch in drawn} == {5}
    assert torch.bincount(torch.cat(drawn), minlength=10).tolist() == [10] * 10
    alike = Learning({TARGET: TinyFeed(n=16), FILMS: TinyFeed(n=16)}, both).samplers(Train(batch_size=8), seed=1)
    assert alike[FILMS].batch(0, 0).tolist() != alike[TARGET].batch(0, 0).tolist()


def test_a_source_changes_what_is_learnt_and_is_counted() -> None:
    alone = Trainer(TinyNetwork(), TinyFeed(), _recipe(epochs=2))
    pooled = Trainer(TinyNetwork(), learning(), _recipe(epochs=2))
    alone.run()
    pooled.run()
    assert any(not torch.equal(_state(alone)[name], tensor) for name, tensor in _state(pooled).items())
    assert pooled.images_per_s is not None
    unread = Trainer(TinyNetwork(), Learning(learning().feeds), _recipe(epochs=2))  # handed, and not asked for
    unread.run()
    _assert_equal(_state(alone), _state(unread))


@pytest.mark.promise(2)
@pytest.mark.parametrize("at", [1, 4, 7, 11])
def test_stopped_and_resumed_equals_uninterrupted(at: int) -> None:
    """With batches of several roles. Fails when one of them is drawn from chance that a checkpoint does not hold."""
    recipe = _recipe(epochs=3, mixup=0.3, ema=0.5, schedule="cosine")
    whole = Trainer(TinyNetwork(), learning(), recipe)
    whole.run()
    steps = 0

    def tick(trainer: Trainer, epoch_end: bool) -> None:
        nonlocal steps
        steps += 1
        if steps == at:
            raise Stopped("now")

    stopped = Trainer(TinyNetwork(), learning(), recipe, tick)
    with pytest.raises(Stopped):
        stopped.run()
    resumed = Trainer(TinyNetwork(), learning(), recipe)
    torch.manual_seed(at)  # what the other process did with chance must not matter
    resumed.restore(stopped.snapshot())
    resumed.run()
    _assert_equal(_state(whole), _state(resumed))
    assert whole.place.epochs == resumed.place.epochs


def test_epochs_are_judged_by_the_roles_that_a_strategy_names() -> None:
    """All their validation images together, by torch alone. Fails when the target's are taken whatever is said."""
    feeds = {TARGET: TinyFeed(), FILMS: TinyFeed(n=50, noise=0.5)}
    for roles in ((FILMS,), (FILMS, TARGET)):
        trained = Trainer(TinyNetwork(), Learning(feeds, both, judged_on=roles), _recipe(epochs=1))
        trained.run()
        x = torch.cat([batch for role in roles for batch in feeds[role].validation_batches()])
        labels = torch.cat([feeds[role].validation_labels for role in roles])
        trained.network.eval()
        logits = trained.network(x).detach()
        found = trained.place.epochs[0]
        assert found["validation_loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
        assert found["validation_accuracy"] == pytest.approx((logits.argmax(dim=1) == labels).double().mean().item())
        assert torch.allclose(trained.validation_logits(lambda: None), logits, atol=1e-5)
