"""How far two domains are apart, as a number and as a picture in two dimensions; before and after they were aligned. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jobs.adaptation.methods import Floats

SHOWN = 120
"""Images of a domain that a picture shows."""
JUDGED = 500
"""Images of a domain by which its distance is estimated."""


def proxy_distance(source: Floats, target: Floats) -> float | None:
    """2 (1 - 2 ε), ε being the 5-fold error of a logistic regression that tells the domains apart: 0 alike, 2 apart.

    The proxy A-distance of Ben-David, Blitzer, Crammer and Pereira (2007). Of equally many images of each; None below 10.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    n = min(len(source), len(target), JUDGED)
    if n < 10:
        return None
    x, domain = np.concatenate([spread(source, n), spread(target, n)]), np.repeat([0, 1], n)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    right = cross_val_score(make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)), x, domain, cv=folds)
    return round(float(np.clip(2 * (1 - 2 * (1 - right.mean())), 0.0, 2.0)), 4)


def places(domains: Mapping[str, Floats]) -> dict[str, list[list[float]]]:
    """For each domain the first two principal components, of all domains together, of at most ``SHOWN`` of its images."""
    shown = {role: spread(x, SHOWN) for role, x in domains.items()}
    everything = np.concatenate(list(shown.values()))
    mean = everything.mean(axis=0)
    _, _, rows = np.linalg.svd(everything - mean, full_matrices=False)
    axes = rows[:2].T * np.sign(rows[:2].sum(axis=1) + 1e-300)  # one of two mirrored pictures, whoever computes it
    return {role: [[round(float(v), 4) for v in row] for row in (x - mean) @ axes] for role, x in shown.items()}


def spread(x: Floats, most: int) -> Floats:
    """At most so many rows, evenly spread: rows are in the order of their content's hash, so these are a random draw."""
    return np.asarray(x[np.linspace(0, len(x) - 1, min(most, len(x))).astype(int)])
