"""Scores of how well features fit labels, without training on: LogME, H-score, LEEP, NCE. Pure; the higher the better.

None of them is an accuracy, and none is better than a published accuracy on ImageNet for being newer: jobs.advice.compare
holds each against that. docs/advice.md says what each is known to get wrong.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ROUNDS, TOLERANCE = 100, 1e-7
TINY = 1e-12


def logme(features: NDArray[np.floating], labels: Ints, n_classes: int) -> float:
    """Mean over classes of the log maximum evidence an image (You et al. 2021, LogME, eq. 2 to 4).

    For each class y [n] of 0 and 1 is modelled as F w + noise, w ~ N(0, I / alpha), noise ~ N(0, I / beta), F [n, d] as it is;
    alpha and beta maximise the evidence (MacKay's fixed point, on the singular values of F).
    """
    f = np.asarray(features, dtype=np.float64)
    u, s, _ = np.linalg.svd(f, full_matrices=False)
    truth = np.eye(n_classes)[labels]
    present = [label for label in range(n_classes) if truth[:, label].any()]
    return float(np.mean([_log_evidence(u, s**2, truth[:, label], f.shape[1]) for label in present]))


def _log_evidence(u: Floats, eigenvalues: Floats, y: Floats, d: int) -> float:
    """An image's share of the log evidence at its maximum. ``u`` [n, k], ``eigenvalues`` [k] of F F^T, ``y`` [n]."""
    n, along = len(y), (u.T @ y) ** 2
    beside = max(float(y @ y - along.sum()), 0.0)
    alpha = beta = 1.0
    for _ in range(ROUNDS):
        shrunk = alpha + beta * eigenvalues
        gamma = float((beta * eigenvalues / shrunk).sum())
        weights = float((beta**2 * eigenvalues * along / shrunk**2).sum())
        residual = beside + float((alpha**2 * along / shrunk**2).sum())
        new_alpha, new_beta = gamma / max(weights, TINY), max(n - gamma, TINY) / max(residual, TINY)
        done = abs(np.log(new_alpha / alpha)) + abs(np.log(new_beta / beta)) < TOLERANCE
        alpha, beta = new_alpha, new_beta
        if done:
            break
    shrunk = alpha + beta * eigenvalues
    weights = float((beta**2 * eigenvalues * along / shrunk**2).sum())
    residual = beside + float((alpha**2 * along / shrunk**2).sum())
    spread = d * np.log(alpha) - np.log(shrunk).sum() - (d - len(eigenvalues)) * np.log(alpha)
    evidence = spread + n * np.log(beta / (2 * np.pi)) - beta * residual - alpha * weights
    return float(evidence / 2 / n)


def h_score(features: NDArray[np.floating], labels: Ints) -> float:
    """tr(cov(f)^-1 cov(E[f | y])), 0 to classes - 1 (Bao et al. 2019), with the shrunk covariance of Ibrahim et al. (2022).

    cov(f) is shrunk by Ledoit and Wolf's (2004) amount a, and the score is multiplied by 1 - a: without it the score of more
    values than images is as high as can be, whatever the labels.
    """
    from sklearn.covariance import ledoit_wolf

    f = np.asarray(features, dtype=np.float64)
    covariance, shrinkage = ledoit_wolf(f)
    centred = f - f.mean(axis=0)
    classes, counts = np.unique(labels, return_counts=True)
    means = np.stack([centred[labels == label].mean(axis=0) for label in classes])
    weighted = means * (counts / len(f))[:, None]
    ridge = TINY * max(float(np.trace(covariance)), TINY)
    solved = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), weighted.T)
    return float((1 - shrinkage) * np.trace(means @ solved))


def leep(probabilities: Floats, labels: Ints) -> float:
    """Mean log likelihood of the labels by the source's own classes (Nguyen et al. 2020, LEEP, eq. 2): 0 at best.

    ``probabilities`` [n, z] of the source's classes: P(y, z) = mean of p(z | x) over images of class y, and
    log sum_z P(y | z) p(z | x) an image.
    """
    joint = np.eye(int(labels.max()) + 1)[labels].T @ probabilities / len(labels)
    conditional = joint / np.maximum(joint.sum(axis=0), TINY)
    likelihood = (probabilities @ conditional.T)[np.arange(len(labels)), labels]
    return float(np.log(np.maximum(likelihood, TINY)).mean())


def nce(source: Ints, labels: Ints) -> float:
    """Negative conditional entropy -H(label | source class) in nats (Tran et al. 2019): 0 where one tells the other.

    ``source`` [n]: the source's likeliest class of each image.
    """
    joint = np.zeros((int(labels.max()) + 1, int(source.max()) + 1))
    np.add.at(joint, (labels, source), 1 / len(labels))
    conditional = joint / np.maximum(joint.sum(axis=0), TINY)
    there = joint > 0
    return float((joint[there] * np.log(conditional[there])).sum())
