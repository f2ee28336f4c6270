"""TrAdaBoost against the paper's algorithm, written down here a second time, on scikit-learn's trees and regressions.

Compared by hand, once, with ``adapt`` 0.4.5 (a package that needs TensorFlow): it has ε / (2 - ε) for the paper's
β_t = ε / (1 - ε), and lets one round fewer vote. With that formula put right its errors and weights on the data below
(two classes, ten rounds) are ours to 1e-15, and the vote of the same rounds says the same of all 300 test items; as it
is, of 76 % of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from jobs.adaptation.instances import fit_instances
from jobs.adaptation.tradaboost import boost, vote_of
from jobs.exporting.onnxfile import run_onnx, write_onnx
from jobs.exporting.whole import Whole
from jobs.heads import logistic
from jobs.heads.standard import PRIOR
from jobs.heads.voted import Voted
from jobs.models.building import build_network
from jobs.models.fitted_heads import make_room
from jobs.models.heads import build_head
from jobs.models.pretrained import Pretrained
from jobs.strategies.features import VOTES, voting_head
from tlbatch.spec.model import Logistic

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FED = {"size": 64, "resize": "squash", "crop": 1.0, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.2] * 3} | {
    "channels": "rgb",
    "scale": "unit",
    "grayscale": False,
}


@dataclass(frozen=True)
class Domains:
    """Source items of which a share lies about its class, then target items, then others of the target to judge by."""

    x: Floats
    y: Ints
    lies: NDArray[np.bool_]
    n_source: int
    test: Floats
    truth: Ints


def domains(
    classes: int, *, n_source: int = 150, n_target: int = 30, lying: float = 0.3, seed: int = 0, apart: float = 2.0
) -> Domains:
    chance = np.random.default_rng(seed)
    centres = apart * chance.normal(size=(classes, 5))

    def drawn(n: int) -> tuple[Floats, Ints]:
        labels = (np.arange(n) % classes).astype(np.int64)
        return centres[labels] + chance.normal(size=(n, 5)), labels

    (xs, ys), (xt, yt), (test, truth) = drawn(n_source), drawn(n_target), drawn(300)
    lies = chance.random(n_source) < lying
    ys = np.where(lies, (ys + 1) % classes, ys)
    return Domains(np.concatenate([xs, xt]), np.concatenate([ys, yt]), lies, n_source, test, truth)


def by_the_paper(data: Domains, classes: int, rounds: int, make: object) -> tuple[Floats, list[float], Ints]:
    """Dai et al. 2007, Algorithm 1, in its own names; for K classes with SAMME's factor K - 1.

    The weights of the last round, the errors, and what the vote of rounds ⌈N/2⌉ … N says of the test items.
    """
    n, m = data.n_source, len(data.y) - data.n_source
    w, beta = np.ones(n + m), 1 / (1 + math.sqrt(2 * math.log(n) / rounds))
    hs, betas, errors, used = [], [], [], w
    for _ in range(rounds):
        p = w / w.sum()
        h = make().fit(data.x, data.y, sample_weight=p * (n + m))  # type: ignore[operator]
        miss = (h.predict(data.x) != data.y).astype(float)
        eps = (w[n:] * miss[n:]).sum() / w[n:].sum()
        errors.append(float(eps))
        eps = min(max(eps, 1 / (2 * m)), 1 - 1 / classes)
        beta_t = eps / (1 - eps) / (classes - 1)
        used = w
        w = np.concatenate([w[:n] * beta ** miss[:n], w[n:] * beta_t ** -miss[n:]])
        hs.append(h)
        betas.append(beta_t)
    score = np.zeros((len(data.test), classes))
    for h, beta_t in list(zip(hs, betas, strict=True))[math.ceil(rounds / 2) - 1 :]:
        score[np.arange(len(data.test)), h.predict(data.test)] += math.log(1 / beta_t)
    return used, errors, score.argmax(axis=1)


@pytest.mark.parametrize(("classes", "rounds"), [(2, 10), (2, 7), (4, 20)])
def test_the_rounds_are_the_papers(classes: int, rounds: int) -> None:
    """With decision stumps for two classes and small trees for four."""
    data = domains(classes, n_target=60, apart=1.2)

    def make() -> DecisionTreeClassifier:
        return DecisionTreeClassifier(max_depth=1 if classes == 2 else 2, random_state=0)

    def learn(weights: Floats) -> tuple[DecisionTreeClassifier, NDArray[np.bool_]]:
        tree = make().fit(data.x, data.y, sample_weight=weights)
        return tree, tree.predict(data.x) == data.y

    ours = boost(learn, data.n_source, len(data.y) - data.n_source, classes, rounds)
    used, errors, said = by_the_paper(data, classes, rounds, make)
    assert max(errors) > min(errors) > 0
    np.testing.assert_allclose([r.error for r in ours.rounds], errors, atol=1e-12)
    np.testing.assert_allclose(ours.source_weights, used[: data.n_source], rtol=1e-9)
    assert ours.rounds[-1].source_share == pytest.approx(used[: data.n_source].sum() / used.sum(), rel=1e-9)
    assert len(ours.hypotheses) == rounds - math.ceil(rounds / 2) + 1
    score = np.zeros((len(data.test), classes))
    for tree, vote in zip(ours.hypotheses, ours.votes, strict=True):
        score[np.arange(len(score)), tree.predict(data.test)] += vote
    assert np.array_equal(score.argmax(axis=1), said)


def test_two_classes_vote_as_the_papers_product_says() -> None:
    """h_f = 1 iff Π β_t^(-h_t) ≥ Π β_t^(-1/2): the larger sum of log(1 / β_t)."""
    chance = np.random.default_rng(0)
    errors, said = chance.uniform(0.05, 0.45, 9), chance.integers(0, 2, (500, 9))
    beta = errors / (1 - errors)
    papers = np.prod(beta**-said, axis=1) >= np.prod(beta**-0.5)
    votes = np.array([vote_of(float(error), 1000, 2) for error in errors])
    assert np.array_equal((said * votes).sum(axis=1) >= ((1 - said) * votes).sum(axis=1), papers)


def test_errors_at_the_bounds_have_votes_that_are_numbers() -> None:
    assert vote_of(0.0, 10, 2) == pytest.approx(math.log(19))
    assert vote_of(0.75, 10, 4) == pytest.approx(0.0, abs=1e-12)
    assert vote_of(0.9, 10, 4) == pytest.approx(0.0, abs=1e-12)

    def never_right(weights: Floats) -> tuple[None, NDArray[np.bool_]]:
        return None, np.zeros(12, dtype=bool)

    found = boost(never_right, 8, 4, 2, 6)
    assert found.votes.tolist() == [1.0] * 4
    assert found.missed.tolist() == [5] * 8


def fitted(data: Domains, classes: int, cs: tuple[float, ...] = (0.1,)) -> tuple[Voted, NDArray[np.int64]]:
    groups = [str(i) for i in range(len(data.y))]
    voted, boosted = fit_instances(
        data.x, data.y, data.n_source, classes, groups=groups, head=Logistic(c=cs), seed=0, rounds=10
    )
    return voted, boosted.missed


@pytest.mark.parametrize("classes", [2, 3])
def test_with_logistic_regressions_it_says_what_the_paper_would(classes: int) -> None:
    """Features standardised here as the head does it; scikit-learn's regression to its own end."""
    data = domains(classes)
    mean, variance = data.x.mean(axis=0), data.x.var(axis=0)
    n, prior = len(data.x), PRIOR
    sd = np.sqrt((n * variance + prior * variance.mean()) / (n + prior))
    same = Domains((data.x - mean) / sd, data.y, data.lies, data.n_source, (data.test - mean) / sd, data.truth)
    used, _, said = by_the_paper(same, classes, 10, lambda: LogisticRegression(C=0.1, tol=1e-8, max_iter=5000))
    voted, missed = fitted(data, classes)
    beta = 1 / (1 + math.sqrt(2 * math.log(data.n_source) / 10))
    np.testing.assert_allclose(beta**missed, used[: data.n_source], rtol=1e-6)
    assert np.array_equal(voted.logits(data.test.astype(np.float32)).argmax(axis=1), said)


def test_who_lies_is_not_believed_and_that_helps() -> None:
    """Half of the source has the label of the next class; a plain regression on both domains believes it."""
    right, pooled, lost = [], [], []
    for seed in range(3):
        data = domains(3, n_source=200, n_target=30, lying=0.5, seed=seed)
        voted, missed = fitted(data, 3, (0.1,))
        lost.append(missed[data.lies].mean() > 2 * missed[~data.lies].mean())
        alike = logistic.fit(data.x.astype(np.float32), data.y, 3, cs=[0.1], folds=5, seed=0)
        test = data.test.astype(np.float32)
        right.append((voted.logits(test).argmax(axis=1) == data.truth).mean())
        pooled.append((alike.logits(test).argmax(axis=1) == data.truth).mean())
    assert all(lost)
    assert np.mean(right) > np.mean(pooled) + 0.05


def test_as_a_layer_it_says_the_same() -> None:
    """Also when loaded from its file into a head that was built from its card."""
    data = domains(3, n_target=60, apart=0.8)
    voted, _ = fitted(data, 3)
    assert len(set(voted.votes)) > 2
    layer = voting_head(voted).head
    again = build_head(5, 3, VOTES, seed=1, init="torch")
    make_room(again, layer.state_dict())
    again.load_state_dict(layer.state_dict())
    x = data.test.astype(np.float32)
    with torch.no_grad():
        logits = again(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, voted.logits(x), atol=1e-5)
    shares = voted.shares(x)
    assert np.allclose(shares.sum(axis=1), 1)
    counted = np.zeros_like(shares)
    for weight, bias, vote in zip(voted.weight, voted.bias, voted.votes, strict=True):
        counted[np.arange(len(x)), (x @ weight.T + bias).argmax(axis=1)] += vote
    np.testing.assert_allclose(shares, counted / voted.votes.sum(), atol=1e-12)
    assert ((shares > 0) & (shares < 1)).any()


@pytest.mark.slow
def test_exported_it_says_the_same(tmp_path: Path) -> None:
    """By onnxruntime, inside a whole network, from a vote of five."""
    chance = torch.Generator().manual_seed(0)
    model = {"backbone": {"name": "squeezenet1_1"}, "layer": None, "pool": "avg", "head": VOTES}
    network = build_network(model, FED, 3, Pretrained("random", seed=1), seed=0, init="torch")
    drawn = {"weight": (5, 3, network.backbone.dim), "bias": (5, 3)}
    state = {name: torch.randn(shape, generator=chance) for name, shape in drawn.items()} | {"votes": torch.arange(1.0, 6.0)}
    make_room(network.head, state)
    network.head.load_state_dict(state)
    whole = Whole([network.eval()], FED, None)
    pixels = torch.randint(0, 256, (20, 3, 64, 64), dtype=torch.uint8, generator=chance)
    write_onnx(whole, pixels[:1], tmp_path / "model.onnx", {"classes": list("abc")})
    ours = whole.probabilities(pixels)
    assert ours.max() - ours.min() > 0.1
    torch.testing.assert_close(run_onnx(tmp_path / "model.onnx", pixels), ours, atol=1e-6, rtol=0)
