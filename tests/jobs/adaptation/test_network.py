"""A network of several domains: whose statistics are kept where, and what of it is published."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from jobs.adaptation.losses import coral_loss, reversal_strength
from jobs.adaptation.network import DomainNetwork, InDomain, build_domain_classifier
from jobs.adaptation.objective import Adapting, build_adapting, term_of
from jobs.models.building import build_network
from jobs.training.batches import TARGET, At, Batch
from jobs.training.learning import Learning
from jobs.training.objective import CrossEntropy, Forward
from jobs.training.trainer import Recipe, Trainer
from tests.jobs.conftest import SCRATCH, UNIT
from tests.jobs.training.test_trainer import _assert_equal, _state
from tlbatch.errors import Stopped
from tlbatch.spec.train import Train

FILMS = "source:films"
CPU = torch.device("cpu")
SMALL = {**UNIT, "size": 8}


class Pictures:
    """[n, 3, 8, 8] noise about a mean of the domain's own; the class lights up a corner."""

    def __init__(self, seed: int, mean: float, n: int = 40, labelled: bool = True) -> None:
        chance = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(n) % 3
        self.x = torch.randn((n, 3, 8, 8), generator=chance) + mean
        for row, label in enumerate(self.labels.tolist()):
            self.x[row, label, :4, :4] += 3
        self.train_labels = self.labels if labelled else torch.full_like(self.labels, -1)
        self.validation_labels = self.train_labels[:9]

    def batch(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        return self.x[indices]

    def validation_batches(self) -> Any:
        yield self.x[:9]


def network(method: str = "dann", apart: tuple[str, ...] = (FILMS,)) -> DomainNetwork:
    inner = build_network({"scratch": {**SCRATCH, "dropout": 0.0}}, SMALL, 3, None, seed=0, init="glorot")
    dim = inner.backbone.dim
    tells = build_domain_classifier(dim, [6], seed=0, init="glorot") if method == "dann" else None
    return DomainNetwork(inner, apart, tells)


def batches(n: int = 12) -> dict[str, Batch]:
    at = At(seed=1, epoch=0, step=0, share=0.2)
    feeds = {FILMS: Pictures(1, 0.0, n), TARGET: Pictures(2, 4.0, n, labelled=False)}
    return {role: Batch(feed.x, feed.train_labels, at) for role, feed in feeds.items()}


def objective(method: str, weight: float = 1.0) -> Adapting:
    return Adapting(CrossEntropy(3, None, 0.0), (FILMS,), (FILMS,), term_of(method, weight))


def test_each_domain_is_normalised_by_itself_and_the_targets_statistics_stay() -> None:
    """Against torch alone: the mean of the first convolution's output over either batch. Fails when the two are one batch, or
    when what is left in the network is a mixture, or the source's."""
    net, both = network(), batches()
    net.train_mode("train", 12)
    norm = next(m for m in net.network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    seen: list[Tensor] = []
    hook = norm.register_forward_hook(lambda module, given, output: seen.append(output.detach().clone()))
    first = net.network.backbone.body.get_submodule("conv1.conv")
    with torch.no_grad():
        expected = {role: first(batch.x).mean(dim=(0, 2, 3)) for role, batch in both.items()}
    objective("dann")(Forward(net, CPU, False), both)
    hook.remove()
    for output in seen:  # each of its own batch: zero mean, unit variance
        assert torch.allclose(output.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-5)
    assert norm.running_mean is not None
    assert torch.allclose(norm.running_mean, 0.1 * expected[TARGET], atol=1e-5)
    assert torch.allclose(dict(net.statistics.named_buffers())["0.running_mean_0"], 0.1 * expected[FILMS], atol=1e-5)
    assert not torch.allclose(expected[TARGET], expected[FILMS], atol=0.1)


def test_who_judges_a_domain_does_so_by_its_statistics() -> None:
    net = network()
    net.train_mode("train", 12)
    for _ in range(60):
        objective("dann")(Forward(net, CPU, False), batches())
    net.eval()
    x = batches()[FILMS].x
    published = net.network(x)
    judged = InDomain(net, FILMS)(x)
    assert not torch.allclose(published, judged, atol=0.1)
    assert torch.equal(InDomain(net, TARGET)(x), published)
    assert torch.equal(net.network(x), published), "afterwards the network is as it was"
    net.network.train()  # by the batch itself, which by now is what the source's statistics say
    assert torch.allclose(net.network(x), judged, atol=0.2)


def test_without_labels_none_is_read_and_the_loss_is_what_the_papers_say() -> None:
    """Cross-entropy of the source by torch, plus the CORAL loss of the features; the target's labels, all -1, are not asked."""
    net, both = network("deep_coral"), batches()
    net.eval()
    loss, counts = objective("deep_coral", weight=7.0)(Forward(net, CPU, False), both)
    entropy = torch.nn.functional.cross_entropy(net.network(both[FILMS].x), both[FILMS].labels)
    coral = coral_loss(net.network.features(both[FILMS].x), net.network.features(both[TARGET].x))
    assert loss.item() == pytest.approx((entropy + 7 * coral).item(), rel=1e-5)
    assert counts.recorded is not None
    assert float(counts.recorded) == pytest.approx(entropy.item(), rel=1e-5)
    assert counts.images == 12


def test_dann_pushes_features_against_and_the_classifier_towards_telling_domains_apart() -> None:
    """Gradients by autograd of the plain losses: of the features' weights, entropy - strength · domain; of the classifier's,
    domain. ``strength`` at the place where the batch is."""
    net, both = network(), batches()
    net.eval()
    assert net.tells_apart is not None
    of_network = [*net.network.backbone.parameters()]
    of_domains = [*net.tells_apart.parameters()]
    loss, _ = objective("dann", weight=0.5)(Forward(net, CPU, False), both)
    ours = torch.autograd.grad(loss, [*of_network, *of_domains])
    entropy = torch.nn.functional.cross_entropy(net.network(both[FILMS].x), both[FILMS].labels)
    logits = net.tells_apart(net.network.features(torch.cat([both[FILMS].x, both[TARGET].x])))
    domains = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.cat([torch.zeros(12, 1), torch.ones(12, 1)]))
    strength = 0.5 * reversal_strength(0.2)
    theirs = torch.autograd.grad(entropy - strength * domains, of_network, retain_graph=True)
    theirs += torch.autograd.grad(domains, of_domains)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_several_sources_weigh_the_same_and_the_targets_labels_as_much_as_each() -> None:
    """Means over the domains, by torch: of three cross-entropies, of two CORAL losses."""
    net, at = network("deep_coral", (FILMS, "source:books")), At(seed=1, epoch=0, step=0, share=0.5)
    feeds = {FILMS: Pictures(1, 0.0, 12), "source:books": Pictures(3, 1.0, 6), TARGET: Pictures(2, 4.0, 9)}
    all_ = {role: Batch(feed.x, feed.train_labels, at) for role, feed in feeds.items()}
    net.eval()
    sources = (FILMS, "source:books")
    ours, counts = Adapting(CrossEntropy(3, None, 0.0), (*sources, TARGET), sources, term_of("deep_coral", 2.0))(
        Forward(net, CPU, False), all_
    )
    entropies = [torch.nn.functional.cross_entropy(net.network(batch.x), batch.labels) for batch in all_.values()]
    seen = {role: net.network.features(batch.x) for role, batch in all_.items()}
    coral = [coral_loss(seen[role], seen[TARGET]) for role in sources]
    assert ours.item() == pytest.approx((sum(entropies) / 3 + 2 * sum(coral) / 2).item(), rel=1e-5)  # type: ignore[union-attr]
    assert counts.images == 27


@pytest.mark.promise(2)
@pytest.mark.parametrize("method", ["source_only", "deep_coral", "dann"])
@pytest.mark.parametrize("at", [2, 9, 13])
def test_stopped_and_resumed_equals_uninterrupted(method: str, at: int) -> None:
    """The domain classifier, its optimizer's state and statistics of either domain among what a checkpoint holds, and the
    average of them all. Fails when a snapshot leaves out what tells the domains apart and the statistics of each."""
    train = Train(epochs=3, batch_size=8, lr=0.01, optimizer="adam", ema=0.5, schedule="inverse", mixup=0.2)
    recipe = Recipe(train, ["a", "b", "c"], seed=1, lr=0.01)

    def fresh(tick: Any = lambda trainer, end: None) -> Trainer:
        feeds: Mapping[str, Any] = {TARGET: Pictures(2, 4.0, labelled=False), FILMS: Pictures(1, 0.0, 30)}
        build = partial(build_adapting, term_of(method, 1.0), (FILMS,), (FILMS,))
        learning = Learning(feeds, build, judged_on=(FILMS,), as_judge=InDomain)  # type: ignore[arg-type]
        return Trainer(network(method, () if method == "source_only" else (FILMS,)), learning, recipe, tick)

    asked = 0

    def tick(trainer: Trainer, epoch_end: bool) -> None:
        nonlocal asked
        asked += 1
        if asked == at:
            raise Stopped("now")

    whole, stopped, resumed = fresh(), fresh(tick), fresh()
    whole.run()
    with pytest.raises(Stopped):
        stopped.run()
    resumed.restore(stopped.snapshot())
    resumed.run()
    _assert_equal(_state(whole), _state(resumed))
    assert whole.place.epochs == resumed.place.epochs
    assert whole.place.epochs[-1]["validation_accuracy"] > 0.5
    names = stopped.snapshot().tensors.keys()
    assert any("tells_apart" in name for name in names) == (method == "dann")
    assert any("statistics.0.running_mean" in name for name in names) == (method != "source_only")


def test_its_domain_classifier_learns_with_the_head_and_leaves_the_networks_first_weights_alone() -> None:
    with_one, without = network("dann"), network("deep_coral")
    for a, b in zip(with_one.network.parameters(), without.network.parameters(), strict=True):
        assert torch.equal(a, b)
    more = len(list(with_one.parameters_of("head"))) - len(list(without.parameters_of("head")))
    assert more == 4
    with_one.freeze(["head"])
    with_one.train_mode("train", 32)
    assert with_one.tells_apart is not None
    assert with_one.tells_apart.training
    assert all(p.requires_grad for p in with_one.tells_apart.parameters())


@pytest.mark.slow
def test_where_a_domain_differs_by_what_can_be_unlearnt_both_unlearn_it() -> None:
    """A bright quarter where no class shows. Held against labels that no training saw: 0.62, and 1.00 and 0.95 measured. With
    SGD and the schedule of DANN's authors; with Adam it is known to swing, and did (0.33)."""
    torch.set_num_threads(1)
    target, source = Pictures(2, 0.0, 120, labelled=False), Pictures(1, 0.0, 120)
    target.x[:, :, 4:, 4:] += 3
    right = {}
    for method in ("source_only", "deep_coral", "dann"):
        inner = build_network(
            {"scratch": {**SCRATCH, "dropout": 0.0, "batch_norm": False}}, SMALL, 3, None, seed=0, init="glorot"
        )
        tells = build_domain_classifier(inner.backbone.dim, [32], seed=0, init="glorot") if method == "dann" else None
        train = Train(epochs=25, batch_size=16, lr=0.01, optimizer="sgd", schedule="inverse", select="last")
        build = partial(build_adapting, term_of(method, 1.0), (FILMS,), (FILMS,))
        feeds: Mapping[str, Any] = {TARGET: target, FILMS: source}
        learning = Learning(feeds, build, judged_on=(FILMS,), as_judge=InDomain)  # type: ignore[arg-type]
        trained = Trainer(DomainNetwork(inner, (), tells), learning, Recipe(train, ["a", "b", "c"], seed=0, lr=0.01))
        trained.run()
        inner.eval()
        right[method] = (inner(target.x).argmax(dim=1) == target.labels).float().mean().item()
    assert right["source_only"] < 0.75
    assert right["deep_coral"] > right["source_only"] + 0.15
    assert right["dann"] > right["source_only"] + 0.15
