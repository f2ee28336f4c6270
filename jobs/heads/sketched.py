"""The regression by rows, its steps found by a sketch of the Gram matrix G: few directions that images share, and a rest.

G ≈ Fᵀ F + diag t: F [RANK, n] spans what a random look at G finds (Halko, Martinsson and Tropp 2011, SIAM Review 53), t is the
rest of G's diagonal, as in sparse Gaussian processes (Snelson and Ghahramani 2006, NIPS 18). With this for G a product with the
Hessian costs next to nothing, and a solution of the preconditioner's system two products with F (Woodbury) where G itself takes
n² for each class. Losses, gradients and what a step leads to are those of G: the minimum is the same, steps are a few more, and
each a fraction. Where the sketch leaves out too much, or a search does not get there by it, the search goes on without.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import solve_triangular

from jobs.heads.losses import cross_entropy
from jobs.heads.multinomial import (
    FLOOR,
    KEPT_BYTES,
    LOUD,
    SPANNED,
    ByFeatures,
    ByRows,
    Images,
    Precision,
    objective,
)
from jobs.heads.newton import At, Values
from jobs.heads.standard import Features, Floats

RANK = 64  #: directions that images share
WORTH = 8  #: times as many images and features there are at least: else G is as quick
CROWDED = 2.5
"""Images a feature up to which a sketch serves: of more, what is left of one is no more its own."""
NO_WORSE = 2.0
"""Times the loss of a start that its sketched point may have to be begun from: what it lost comes back in a few of the sketch's
steps, where the search without it starts with a factor of all images. Head and suspects of eight sets of photographs, 2 to 128
classes, took the same CPU seconds or up to a third less than from starts that are no worse, and chose the same C."""
HELD = 2_000_000  #: images x classes up to which that holds: a point has two numbers for each
LEFT_OUT = 1 / 40
"""Curvature that the sketch leaves to each image alone, beside the penalty and for each class, up to which it is used. Beyond,
it takes longer than G does: measured on 18 paths through the C, 2 to 64 classes (the more, the dearer is a product with G)."""


def first_form(images: Images, workers: int = 1) -> Sketched | ByRows | ByFeatures:
    """The form that a search begins with. ``workers``: as of jobs.heads.multinomial.objective."""
    n, d = len(images.rows), images.features.shape[1]
    holds = images.by_rows or (n <= CROWDED * d and 4 * n * d <= KEPT_BYTES and n * images.n_classes <= HELD)
    return Sketched(images) if holds and min(n, d) >= WORTH * RANK else objective(images, workers)


class Sketched(ByRows):
    """As ByRows. G is made where there are no more images than features; else products with it go through the features."""

    exact = False
    lasting = 1

    def __init__(self, images: Images) -> None:
        n, d = len(images.rows), images.features.shape[1]
        self._z: Features | None = None
        if d < n and 4 * n * d <= KEPT_BYTES:
            self._z = images.standard(images.features[images.rows])
        super().__init__(images, None if self._z is None else np.empty((0, 0), np.float32))
        diagonal = np.diagonal(self.gram) if self._z is None else np.einsum("nd,nd->n", self._z, self._z)
        looks = np.random.default_rng(0).standard_normal((RANK, self.n), np.float32)
        basis = np.linalg.qr(self._by_gram(looks).T)[0].T
        seen = self._by_gram(basis)
        values, vectors = np.linalg.eigh((seen @ basis.T).astype(np.float64))
        there = values > SPANNED * values[-1]  # images may span less than was looked at
        rooted = vectors * np.where(there, 1 / np.sqrt(np.where(there, values, 1.0)), 0.0)
        self._shared = rooted.T.astype(np.float32) @ seen
        self._typical = float(diagonal.mean())
        own = diagonal - np.einsum("rn,rn->n", self._shared, self._shared)
        self._own = np.maximum(own, np.float32(SPANNED * self._typical))

    def begun(self, weight: Floats, bias: Floats) -> Values | None:
        """A point about as near the minimum as ``weight`` [k, d] and ``bias`` [k], for the penalty that is set, or nothing.

        At a minimum coefficients are the residuals of its outputs over the penalty. Those of the outputs of ``weight`` are
        taken, and a step of the sketch towards these outputs from those that the coefficients have.
        """
        point = np.zeros(self.paired + self.k * self.n, np.float32)
        _, of_bias, coefficients = self._parts(point)
        of_bias[:] = bias
        missed = self._outputs_of(weight)
        loss, residual, curvature = cross_entropy(missed + of_bias[:, None], self.images.labels, self._counts)
        if not self.serves(curvature):
            return None
        np.multiply(residual, np.float32(-1 / self.penalty), out=coefficients)
        point = self.settled(point)
        self.factor(self.at(point))
        margins, _, coefficients = self._parts(point)
        missed -= margins
        missed *= self._weight
        coefficients += self._parts(self.precondition(np.concatenate([missed.ravel(), np.zeros_like(of_bias)])))[2]
        point = self.settled(point)
        given = loss + self.penalty / 2 * float(np.vdot(weight, weight))
        return point if self.at(point).loss <= NO_WORSE * given else None

    def serves(self, curvature: Values) -> bool:
        """Whether the sketch leaves so little out, by images' curvatures, that it is the quicker way."""
        return bool(float((curvature * self._own).mean()) <= LEFT_OUT * self.k * self.penalty)

    def without(self, point: Values, workers: int) -> tuple[ByRows | ByFeatures, Values]:
        """``unsketched``, and the same point of it."""
        form = self.unsketched(workers)
        return form, point if isinstance(form, ByRows) else form.start(*self.weights(point)).astype(point.dtype)

    def unsketched(self, workers: int) -> ByRows | ByFeatures:
        """The same regression without the sketch, the penalty too."""
        by_gram = self.images.by_rows and self._z is None
        form = ByRows(self.images, self.gram, self._exact) if by_gram else objective(self.images, workers)
        form.penalty = self.penalty
        return form

    def settled(self, step: Values) -> Values:
        _, bias, coefficients = self._parts(step)
        return self._packed(self._by_gram(coefficients), bias, coefficients)

    def factor(self, at: At) -> None:
        self._weight = np.maximum(at.curvature, FLOOR * at.curvature.max()).astype(np.float32)
        self._lambda = np.float32(self._ridge(float(self._weight.max()) * self._typical))
        self._loud = np.bool_(self._lambda > LOUD * float(self._weight.mean()) * self._typical)
        self._scale = 1 / (self._lambda / self._weight + self._own)
        rooted = (self._shared * np.sqrt(self._scale)).astype(np.float64)  # far from what rounds to no triangle
        lower = np.linalg.cholesky(rooted @ rooted.T + np.eye(RANK)).astype(np.float32)
        scaled = self._shared * self._scale
        self._along = np.ascontiguousarray(solve_triangular(lower, scaled, lower=True, check_finite=False))
        self._of_bias = np.float32(1 / at.curvature.sum(dtype=np.float64))

    def _solve(self, own: Values, coefficients: Values) -> None:
        """As ByRows: A = (G + penalty · D⁻¹)⁻¹ D⁻¹ R, of which the inverse is diag ``_scale`` - ``_along``ᵀ ``_along``."""
        scaled = own / self._weight
        np.multiply(scaled, self._scale, out=coefficients)
        coefficients -= (scaled @ self._along.T) @ self._along

    def _margins_of(self, coefficients: Values, margins: Values) -> None:
        np.matmul(coefficients @ self._shared.T, self._shared, out=margins)
        margins += coefficients * self._own

    def _by_gram(self, rows: Values) -> Values:
        """``rows`` [k, n] times G."""
        if self._z is None:
            return super()._by_gram(rows)
        z = self._z if rows.dtype == np.float32 else self._standardised(slice(None), np.float64)
        return np.asarray((rows @ z) @ z.T)

    def _blocks(self, precision: Precision) -> Iterator[tuple[slice, Features]]:
        if self._z is None or precision is not np.float32:
            yield from super()._blocks(precision)
        else:
            yield slice(None), self._z
