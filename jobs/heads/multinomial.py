"""Multinomial logistic regression with an L2 penalty: the loss, its gradient and a preconditioner, for jobs.heads.newton.

Minimise f(W, b) = Σᵢ cᵢ · log loss of softmax(W zᵢ + b) + penalty/2 · ‖W‖², z standardised features, the intercept b free.

Two forms of the same problem. ``ByRows``, where images are few beside features: W = A Z lies in what the images span (the
representer theorem), and all that is asked of Z is its Gram matrix G = Z Zᵀ [n, n]; a step then costs one solution of an
n × n system for all classes, and no product with Z. ``ByFeatures``, where images are many: W itself, Z read in blocks of rows.

The preconditioner stands for the Hessian Σᵢ cᵢ (diag pᵢ - pᵢ pᵢᵀ) ⊗ zᵢ zᵢᵀ + penalty with, in place of each image's own matrix,
the multiple dᵢ of the identity that has the same trace on vectors that sum to zero: dᵢ = cᵢ (1 - ‖pᵢ‖²) / (classes - 1). Then
one Cholesky factor serves all classes (as the bound ½ (I - 11ᵀ/K) of Böhning 1992, Ann. Inst. Stat. Math. 44, which is K/2
times too wide at the start). Arrays are [classes, n], as LAPACK wants them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from jobs.heads.blocks import blocks_of, in_order
from jobs.heads.losses import cross_entropy, curved, softmax
from jobs.heads.newton import At, Values
from jobs.heads.standard import Features, Floats, Ints, Standard, column_slices

ROWS_PER_FEATURE = 1.5
"""Up to as many images a feature a problem is solved by rows."""
KEPT_BYTES = 128 * 2**20
"""Standardised features are kept up to this size, else made again from block to block."""
BLOCK = 2048  #: images whose outputs are looked at together, by features; half of all where these are fewer than two blocks
SHARED = 4e8
"""Operations of a step by features from which on threads share its blocks: some milliseconds."""
CLASSES = 256  #: that the preconditioner looks at together, by features
CHANCES_BYTES = 512 * 2**20
"""Probabilities at the point that a step starts from are kept up to this size, else made again for every product."""
FLOOR = 0.01  #: of the largest curvature: no image's is taken for less
SPANNED = 1e-4
"""Of the mean image's squared length, what is added to all where weights are put into what images span: some may be copies."""
RIDGES = 6
"""How often a ridge under which rounding leaves a matrix indefinite is made ``STEEPER`` times as large: 10⁹ are enough."""
STEEPER = 32.0
LOUD = 64.0
"""Where the penalty is this many times the curvature, outputs are computed from coefficients, not as a difference."""
Precision = type[np.floating[Any]]


@dataclass(frozen=True)
class Images:
    """Whom a regression learns from: ``rows`` of raw ``features`` [N, d]; their ``labels``, 0 to n_classes-1; ``counts``."""

    features: Features
    rows: Ints
    labels: Ints
    n_classes: int
    counts: Floats
    standard: Standard

    @property
    def by_rows(self) -> bool:
        return bool(len(self.rows) <= ROWS_PER_FEATURE * self.features.shape[1])

    @property
    def work(self) -> float:
        """Operations of a step, about."""
        n, d = len(self.rows), self.features.shape[1]
        return 4.0 * self.n_classes * (n * n if self.by_rows else d * (n + d))


class Regression:
    """What both forms share: points are flat; ``penalty`` may be changed between minimisations. ``excess``: how far above the
    minimum the last one stopped, as a share of the loss. ``exact``, ``lasting``: as jobs.heads.newton.Objective has them."""

    penalty: float = 1.0
    excess: float = 0.0
    exact = True
    lasting = 8

    def __init__(self, images: Images) -> None:
        self.images = images
        self.k, self.n, self.d = images.n_classes, len(images.rows), images.features.shape[1]
        self._counts = images.counts.astype(np.float32)

    def _ridge(self, largest: float) -> float:
        """The penalty, or what rounding asks for where that is more."""
        return max(self.penalty, 32 * float(np.finfo(np.float32).eps) * largest)


def objective(images: Images, workers: int = 1) -> ByRows | ByFeatures:
    """In the form that is cheaper. ``workers``: threads that may share a step by features, where it is worth a thread."""
    return ByRows(images) if images.by_rows else ByFeatures(images, workers if images.work >= SHARED else 1)


class ByRows(Regression):
    """A point is outputs without intercept M = A G [k, n], then b [k], then A [k, n]. A gradient is [k, n] and [k]."""

    def __init__(self, images: Images, gram: Values | None = None, exact: Values | None = None) -> None:
        """``gram`` and ``exact``: G in float32 and float64, where it is known."""
        super().__init__(images)
        self.gram = self._gram(np.float32) if gram is None else gram
        self._exact = exact
        self.paired = self.k * self.n + self.k

    def start(self, weight: Floats | None = None, bias: Floats | None = None) -> Values:
        """Zero; or what of ``weight`` [k, d] the images span: A such that the outputs A G are about Z weightᵀ."""
        point = np.zeros(self.paired + self.k * self.n, np.float32)
        if weight is None or bias is None:
            return point
        _, of_bias, coefficients = self._parts(point)
        of_bias[:] = bias
        gram = self.gram.copy()
        gram.flat[:: self.n + 1] += np.float32(SPANNED * np.diagonal(gram).mean())
        factor = cho_factor(gram.T, lower=True, overwrite_a=True, check_finite=False)
        coefficients[:] = cho_solve(factor, self._outputs_of(weight).T, overwrite_b=True, check_finite=False).T
        return self.settled(point)

    def settled(self, step: Values) -> Values:
        """The same with outputs computed anew from the coefficients, as rounding has moved them apart."""
        _, bias, coefficients = self._parts(step)
        return self._packed(self._by_gram(coefficients), bias, coefficients)

    def at(self, point: Values) -> At:
        margins, bias, coefficients = self._parts(point)
        counts = self.images.counts.astype(point.dtype)
        loss, residual, curvature = cross_entropy(margins + bias[:, None], self.images.labels, counts)
        ahead = residual.sum(axis=1)
        residual += point.dtype.type(self.penalty) * coefficients
        loss += self.penalty / 2 * float(np.vdot(coefficients, margins))
        return At(point, loss, np.concatenate([residual.ravel(), ahead]), curvature)

    def factor(self, at: At) -> None:
        self._weight = np.maximum(at.curvature, FLOOR * at.curvature.max()).astype(np.float32)
        self._root = np.sqrt(self._weight)
        scaled = self.gram * self._root[:, None]
        scaled *= self._root
        typical = float(np.diagonal(scaled).mean())
        self._factor, self._lambda = factored(scaled, self._ridge(float(np.diagonal(scaled).max())))
        self._loud = self._lambda > LOUD * typical
        self._of_bias = np.float32(1 / at.curvature.sum(dtype=np.float64))

    def linearise(self, at: At) -> None:
        margins, bias, _ = self._parts(at.point.astype(np.float32))
        self._chances = softmax(margins + bias[:, None])

    def product(self, step: Values) -> Values:
        margins, bias, coefficients = self._parts(step)
        moved = curved(self._chances, margins + bias[:, None], self._counts)
        ahead = moved.sum(axis=1)
        moved += np.float32(self.penalty) * coefficients
        return np.concatenate([moved.ravel(), ahead])

    def precondition(self, gradient: Values) -> Values:
        """With D the images' curvatures and R the gradient, A = (D G + penalty)⁻¹ R, so that A G = D⁻¹ (R - penalty · A)."""
        own, bias = gradient[: self.k * self.n].reshape(self.k, self.n), gradient[self.k * self.n :]
        step = np.empty(self.paired + self.k * self.n, np.float32)
        margins, of_bias, coefficients = self._parts(step)
        self._solve(own, coefficients)
        if self._loud:
            self._margins_of(coefficients, margins)
        else:
            np.multiply(coefficients, -self._lambda, out=margins)
            margins += own
            margins /= self._weight
        np.multiply(bias, self._of_bias, out=of_bias)
        return step

    def _solve(self, own: Values, coefficients: Values) -> None:
        """The preconditioner's A of R, into ``coefficients``; ``_margins_of`` the A G of an A, into ``margins``."""
        solved = cho_solve(self._factor, (own / self._root).T, overwrite_b=True, check_finite=False).T
        np.multiply(solved, self._root, out=coefficients)

    def _margins_of(self, coefficients: Values, margins: Values) -> None:
        np.matmul(coefficients, self.gram, out=margins)

    def weights(self, point: Values) -> tuple[Floats, Floats]:
        """Of standardised features: W [k, d] and b [k], float64."""
        _, bias, coefficients = self._parts(point)
        found = np.empty((self.k, self.d))
        for columns, z in self._blocks(point.dtype.type):
            found[:, columns] = coefficients @ z
        return found, bias.astype(np.float64)

    def _outputs_of(self, weight: Floats) -> Values:
        """[k, n] float32 of ``weight`` [k, d], without intercept."""
        found = np.zeros((self.k, self.n), np.float32)
        for columns, z in self._blocks(np.float32):
            found += weight[:, columns].astype(np.float32) @ z.T
        return found

    def _by_gram(self, rows: Values) -> Values:
        """``rows`` [k, n] times G, as precise as they are."""
        if rows.dtype == np.float32:
            return np.asarray(rows @ self.gram)
        return np.asarray(rows @ self.exactly())

    def exactly(self) -> Values:
        """G in float64, made once."""
        if self._exact is None:
            self._exact = self._gram(np.float64)
        return self._exact

    def _gram(self, precision: Precision) -> Values:
        gram = np.zeros((self.n, self.n), precision)
        for _, z in self._blocks(precision):
            gram += z @ z.T
        return gram

    def _blocks(self, precision: Precision) -> Iterator[tuple[slice, Features]]:
        """Columns, and the standardised features of all images in them."""
        for columns in column_slices(self.n, self.d):
            yield columns, self._standardised(columns, precision)

    def _standardised(self, columns: slice, precision: Precision) -> Features:
        return self.images.standard(self.images.features[self.images.rows, columns], columns, precision)

    def _parts(self, point: Values) -> tuple[Values, Values, Values]:
        size = self.k * self.n
        margins, coefficients = (point[start : start + size].reshape(self.k, self.n) for start in (0, self.paired))
        return margins, point[size : self.paired], coefficients

    def _packed(self, margins: Values, bias: Values, coefficients: Values) -> Values:
        return np.concatenate([margins.ravel(), bias, coefficients.ravel()])


class ByFeatures(Regression):
    """A point is W [k, d], then b [k], and so are gradients. How many ``workers`` share the blocks of images changes no bit."""

    def __init__(self, images: Images, workers: int = 1) -> None:
        super().__init__(images)
        self.workers = workers
        self._blocks = blocks_of(self.n, min(BLOCK, -(-self.n // 2)))
        self.paired = self.k * self.d + self.k
        kept = self.n * self.d * np.dtype(np.float32).itemsize <= KEPT_BYTES
        self._kept = self._standardised(slice(None), np.float32) if kept else None
        self._chances: Values | None = None
        self._seen: tuple[Values, Values | None] | None = None  #: the point looked at last, and its probabilities

    def start(self, weight: Floats | None = None, bias: Floats | None = None) -> Values:
        """Zero, or there."""
        point = np.zeros(self.paired, np.float32)
        if weight is not None and bias is not None:
            own, of_bias = self._parts(point)
            own[:], of_bias[:] = weight, bias
        return point

    def settled(self, step: Values) -> Values:
        """Nothing is carried along."""
        return step

    def at(self, point: Values) -> At:
        weight, bias = self._parts(point)
        loss, slope, ahead = 0.0, np.zeros((self.k, self.d)), np.zeros(self.k)
        curvature = np.empty(self.n, point.dtype)
        self._seen, self._chances = None, None  # makes room
        chances = np.empty((self.k, self.n), np.float32) if 4 * self.k * self.n <= CHANCES_BYTES else None

        def of_block(places: slice) -> tuple[float, Values, Values]:
            z = self._block(places, point.dtype.type)
            counts, labels = self.images.counts[places].astype(point.dtype), self.images.labels[places]
            kept = None if chances is None else chances[:, places]
            own, residual, curvature[places] = cross_entropy(weight @ z.T + bias[:, None], labels, counts, kept)
            return own, residual @ z, residual.sum(axis=1)

        for own, by_weight, by_bias in in_order(of_block, self._blocks, self.workers):
            loss += own
            slope += by_weight
            ahead += by_bias
        slope += self.penalty * weight
        gradient = np.concatenate([slope.ravel(), ahead]).astype(point.dtype)
        self._seen = point, chances
        return At(point, loss + self.penalty / 2 * float(np.vdot(weight, weight)), gradient, curvature)

    def factor(self, at: At) -> None:
        hessian = np.zeros((self.d, self.d), np.float32)
        roots = np.sqrt(np.maximum(at.curvature, FLOOR * at.curvature.max())).astype(np.float32)

        def of_block(places: slice) -> Values:
            scaled = self._block(places, np.float32) * roots[places, None]
            return np.asarray(scaled.T @ scaled)

        for own in in_order(of_block, self._blocks, self.workers):
            hessian += own
        self._factor, _ = factored(hessian, self._ridge(float(np.diagonal(hessian).max())))
        self._of_bias = np.float32(1 / at.curvature.sum(dtype=np.float64))

    def linearise(self, at: At) -> None:
        self._weight, self._bias = self._parts(at.point.astype(np.float32))
        seen, self._seen, self._chances = self._seen, None, None
        if seen is not None and seen[0] is at.point:
            self._chances = seen[1]
        elif 4 * self.k * self.n <= CHANCES_BYTES:
            chances = np.empty((self.k, self.n), np.float32)

            def of_block(places: slice) -> None:
                chances[:, places] = self._chances_of(places)

            for _ in in_order(of_block, self._blocks, self.workers):
                pass
            self._chances = chances

    def product(self, step: Values) -> Values:
        weight, bias = self._parts(step)
        slope, ahead = np.zeros((self.k, self.d), np.float32), np.zeros(self.k, np.float32)

        def of_block(places: slice) -> tuple[Values, Values]:
            z = self._block(places, np.float32)
            moved = curved(self._chances_of(places), weight @ z.T + bias[:, None], self._counts[places])
            return moved @ z, moved.sum(axis=1)

        for by_weight, by_bias in in_order(of_block, self._blocks, self.workers):
            slope += by_weight
            ahead += by_bias
        slope += np.float32(self.penalty) * weight
        return np.concatenate([slope.ravel(), ahead])

    def precondition(self, gradient: Values) -> Values:
        slope, ahead = self._parts(gradient)

        def of_classes(some: slice) -> Values:
            return np.asarray(cho_solve(self._factor, slope[some].T, check_finite=False).T)

        solved = [own.ravel() for own in in_order(of_classes, blocks_of(self.k, CLASSES), self.workers)]
        return np.concatenate([*solved, ahead * self._of_bias])

    def weights(self, point: Values) -> tuple[Floats, Floats]:
        """Of standardised features: W [k, d] and b [k], float64."""
        weight, bias = self._parts(point)
        return weight.astype(np.float64), bias.astype(np.float64)

    def _chances_of(self, places: slice) -> Values:
        """Probabilities [k, images] at the point that was linearised."""
        if self._chances is not None:
            return self._chances[:, places]
        return softmax(self._weight @ self._block(places, np.float32).T + self._bias[:, None])

    def _block(self, places: slice, precision: Precision) -> Features:
        if self._kept is None or precision is not np.float32:
            return self._standardised(places, precision)
        return self._kept[places]

    def _standardised(self, places: slice, precision: Precision) -> Features:
        return self.images.standard(self.images.features[self.images.rows[places]], precision=precision)

    def _parts(self, point: Values) -> tuple[Values, Values]:
        return point[: self.k * self.d].reshape(self.k, self.d), point[self.k * self.d :]


def factored(matrix: Values, ridge: float) -> tuple[Any, np.float32]:
    """The Cholesky factor of a symmetric ``matrix`` [m, m], which is overwritten, plus a ridge; and the ridge, a larger
    one where rounding hides this one.

    Of features that nearly all say the same the sums are so large beside what else there is that float32 leaves some
    directions negative.
    """
    diagonal = np.diagonal(matrix).copy()
    for number in range(RIDGES + 1):
        steeper = np.float32(ridge * STEEPER**number)
        matrix.flat[:: len(matrix) + 1] = diagonal + steeper
        try:
            return cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False), steeper
        except LinAlgError:
            if number == RIDGES:
                raise
            left = np.tril(matrix, -1)  # the half that a factor is not written to
            np.add(left, left.T, out=matrix)
    raise AssertionError("unreachable")
