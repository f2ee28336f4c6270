"""How domains are brought together, on features: CORAL, subspace alignment, optimal transport, density-ratio weights. Pure.

``source`` [n, d] and ``target`` [m, d] are float64 features of training images. No label goes in. TrAdaBoost moves nothing: its
weights come from labels (jobs.adaptation.instances).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlbatch import nouns
from tlbatch.errors import StudyError

Floats = NDArray[np.float64]

SHRINK = 0.1
"""Of CORAL: this share of the mean variance is added to each covariance, so that directions with none can be scaled."""
MOST_FEATURES = 4096
"""Of CORAL: a covariance has the square of so many values, and its root takes the cube of so many steps."""
VARIANCE = 0.95
TRANSPORTED = 3000
"""Optimal transport takes at most so many images of each domain: its plan has as many entries as there are pairs."""
LARGEST_RATIO = 20.0
"""Of reweighting: no image counts more than so many average ones, else a handful of them are all that is learnt from."""


@dataclass(frozen=True)
class Aligned:
    """Where a classifier learns: source features ``carry``-ed there, target features as (x - ``shift``) @ ``basis``.

    ``basis`` [d, k], None: the identity. ``weights`` [n]: how much each source image counts; None: alike.
    ``facts``: for the card.
    """

    carry: Callable[[Floats], Floats]
    shift: Floats
    basis: Floats | None = None
    weights: Floats | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def project(self, target: Floats) -> Floats:
        return target - self.shift if self.basis is None else (target - self.shift) @ self.basis


def unaligned(source: Floats, target: Floats, **_: Any) -> Aligned:
    return Aligned(carry=lambda x: x, shift=np.zeros(source.shape[1]))


def coral(source: Floats, target: Floats, **_: Any) -> Aligned:
    """Source features with the mean and the covariance of the target's: whitened by their own, coloured by the target's.

    Sun, Feng and Saenko (2016), "Return of frustratingly easy domain adaptation": x → (x - mean_s) C_s^-½ C_t^½ + mean_t. There
    C + I; here C + ``SHRINK`` · its mean variance · I, so that the units of features do not matter.
    """
    if source.shape[1] > MOST_FEATURES:
        raise StudyError(
            f"strategy.adapt.method: coral turns covariances of at most {MOST_FEATURES:,} features, and there are "
            f"{source.shape[1]:,}: write model.pool: avg, or method: subspace"
        )
    mean_s, mean_t = source.mean(axis=0), target.mean(axis=0)
    recolour = _power(_covariance(source), -0.5) @ _power(_covariance(target), 0.5)
    return Aligned(carry=lambda x: (x - mean_s) @ recolour + mean_t, shift=np.zeros(source.shape[1]))


def _covariance(x: Floats) -> Floats:
    found = np.atleast_2d(np.cov(x, rowvar=False))
    return np.asarray(found + (SHRINK * np.trace(found) / len(found) + 1e-12) * np.eye(len(found)))


def _power(symmetric: Floats, exponent: float) -> Floats:
    values, vectors = np.linalg.eigh(symmetric)
    return np.asarray((vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T)


def subspace(source: Floats, target: Floats, *, dimensions: int | None = None, **_: Any) -> Aligned:
    """Principal components of the source turned onto those of the target.

    Fernando, Habrard, Sebban and Tuytelaars (2013), "Unsupervised visual domain adaptation using subspace alignment": with the
    components P_s, P_t of each domain about its own mean, source features become x P_s P_sᵀ P_t, target features x P_t. How
    many components, unless ``dimensions`` says so: as many as hold ``VARIANCE`` of each domain's variance, the larger number.
    """
    mean_s, mean_t = source.mean(axis=0), target.mean(axis=0)
    (basis_s, enough_s), (basis_t, enough_t) = _components(source - mean_s), _components(target - mean_t)
    k = min(dimensions or max(enough_s, enough_t), basis_s.shape[1], basis_t.shape[1])
    to_target = basis_s[:, :k] @ (basis_s[:, :k].T @ basis_t[:, :k])
    return Aligned(lambda x: (x - mean_s) @ to_target, shift=mean_t, basis=basis_t[:, :k], facts={"dimensions": k})


def _components(centred: Floats) -> tuple[Floats, int]:
    _, lengths, rows = np.linalg.svd(centred, full_matrices=False)
    share = np.cumsum(lengths**2) / max(float((lengths**2).sum()), 1e-300)
    return rows.T, int(np.searchsorted(share, VARIANCE) + 1)


def optimal_transport(source: Floats, target: Floats, *, seed: int = 0, **_: Any) -> Aligned:
    """Each source image moved to the mean of the target images that the cheapest plan sends it to.

    Courty, Flamary, Tuia and Rakotomamonjy (2017), "Optimal transport for domain adaptation", without regularisation (their
    OT-exact, by POT's network simplex), so that nothing has to be chosen; cost is the squared distance of features over their
    standard deviations in both domains. Other source images move as the nearest one of these does (Ferradans et al. 2014).
    """
    drawn_s, drawn_t = (_at_most(each, TRANSPORTED, seed) for each in (source, target))
    both = np.concatenate([drawn_s, drawn_t])
    scale = np.where((sd := both.std(axis=0)) > 1e-12, sd, 1.0)
    plan = _plan(drawn_s / scale, drawn_t / scale)
    moved = plan @ drawn_t / plan.sum(axis=1, keepdims=True) - drawn_s

    def carry(x: Floats) -> Floats:
        return np.asarray(x + moved[_nearest(x / scale, drawn_s / scale)])

    return Aligned(carry, shift=np.zeros(source.shape[1]), facts={"transported": [len(drawn_s), len(drawn_t)]})


def _plan(source: Floats, target: Floats) -> Floats:
    import ot

    cost = np.asarray(ot.dist(source, target))
    found, log = ot.emd(ot.unif(len(source)), ot.unif(len(target)), cost / max(float(cost.max()), 1e-300), 10_000_000, log=True)
    if log["warning"]:
        raise RuntimeError(f"optimal transport of {cost.shape} {nouns.items()}: {log['warning']}")
    return np.asarray(found, dtype=np.float64)


def _nearest(x: Floats, of: Floats) -> NDArray[np.int64]:
    from sklearn.neighbors import NearestNeighbors

    return np.asarray(NearestNeighbors(n_neighbors=1).fit(of).kneighbors(x, return_distance=False)[:, 0])


def _at_most(x: Floats, most: int, seed: int) -> Floats:
    if len(x) <= most:
        return x
    return np.asarray(x[np.sort(np.random.default_rng(seed).choice(len(x), most, replace=False))])


def reweight(source: Floats, target: Floats, **_: Any) -> Aligned:
    """Source images count by how much likelier they are in the target: p(target | x) / p(source | x) · n / m.

    The ratio by a logistic regression that tells the domains apart (Bickel, Brueckner and Scheffer 2009, "Discriminative
    learning under covariate shift"), at most ``LARGEST_RATIO`` times their mean, which is 1. ``effective``: of so many
    images the weighted ones are worth (Kish 1965): (Σw)² / Σw².
    """
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([source, target])
    mean, sd = both.mean(axis=0), both.std(axis=0)
    z = (both - mean) / np.where(sd > 1e-12, sd, 1.0)
    domain = np.concatenate([np.zeros(len(source)), np.ones(len(target))])
    log_odds = LogisticRegression(C=0.01, max_iter=2000).fit(z, domain).decision_function(z[: len(source)])
    weights = np.exp(log_odds - log_odds.max())
    weights = np.minimum(weights, _bound(weights))
    weights = weights / weights.mean()
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    facts = {"effective": round(effective, 1), "of": len(source)}
    return Aligned(lambda x: x, np.zeros(source.shape[1]), weights=weights, facts=facts)


def _bound(weights: Floats) -> float:
    """c, so that what is clipped at c is at most ``LARGEST_RATIO`` times its own mean: with k of n clipped and S the sum of the
    others, c = r · (S + k · c) / n."""
    n = len(weights)
    falling = np.sort(weights)[::-1]
    clipped = np.arange(math.ceil(n / LARGEST_RATIO))
    others = np.cumsum(falling[::-1])[::-1][clipped]  # from the smallest up: differences of sums would round
    bounds = LARGEST_RATIO * others / (n - LARGEST_RATIO * clipped)
    return float(bounds[np.argmax(falling[clipped] <= bounds)])


METHODS: Mapping[str, Callable[..., Aligned]] = {
    "source_only": unaligned,
    "target_only": unaligned,
    "pooled": unaligned,
    "tradaboost": unaligned,
    "coral": coral,
    "subspace": subspace,
    "optimal_transport": optimal_transport,
    "reweight": reweight,
}
