"""Minimum of a smooth convex function by L-BFGS with a preconditioner that may be anything. Pure, free of what is minimised.

Nocedal and Wright 2006, algorithm 7.4 (two-loop recursion) with a first guess of the inverse Hessian that the objective gives,
and a backtracking line search. Points and steps are flat arrays of which the first ``paired`` values are those that a
gradient is the derivative by (in whatever coordinates make the inner product gradient · step right); the rest, which may be
none, are linear in them and carried along, so that an objective can keep both coefficients and what they lead to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs

Values = NDArray[np.floating[Any]]
MEMORY = 7
MOST_STEPS = 500
FACTORED_FOR = 40
"""Steps after which the preconditioner is made anew, at the point reached."""
LEAST_STEP = 2.0**-12
SUFFICIENT = 1e-4  #: share of the promised decrease that a step must bring (Armijo)


@dataclass(frozen=True)
class At:
    """The objective at a point: ``loss``, its ``gradient`` [paired], and what the objective's own preconditioner needs."""

    loss: float
    gradient: Values
    curvature: Values


class Objective(Protocol):
    """What is minimised."""

    @property
    def paired(self) -> int: ...

    def at(self, point: Values) -> At: ...

    def factor(self, at: At) -> None:
        """Get ready to precondition near a point."""

    def precondition(self, gradient: Values) -> Values:
        """About the inverse Hessian times ``gradient``: a step, as long as a point. The caller may overwrite it."""


@dataclass(frozen=True)
class Found:
    """``excess``: about how far ``loss`` is above the minimum, half the squared Newton decrement of the preconditioner."""

    point: Values
    at: At
    excess: float
    steps: int

    @property
    def share(self) -> float:
        """Of the loss that ``excess`` is: where it is more than was asked for, the search stopped before its end."""
        return self.excess / abs(self.at.loss) if self.at.loss else 0.0


@dataclass(frozen=True)
class _Pair:
    """A step taken, what it changed the gradient by, and one over their product."""

    step: Values
    change: Values
    rho: float


def minimise(
    objective: Objective, point: Values, *, relative: float, most: int = MOST_STEPS, check: Callable[[], None] = lambda: None
) -> Found:
    """From ``point`` until the loss is about ``relative`` times itself above the minimum, or rounding hides what is left.

    ``check`` is called before every step: it may raise, to stop.
    """
    at = objective.at(point)
    pairs: deque[_Pair] = deque(maxlen=MEMORY)
    slack = float(np.finfo(point.dtype).eps) * 4
    for number in range(most + 1):
        check()
        if number % FACTORED_FOR == 0:
            objective.factor(at)
        downhill = _quasi_newton(objective, pairs, at.gradient)
        promised = float(np.vdot(downhill[: objective.paired], at.gradient))
        excess = promised / 2
        if 0 <= excess <= relative * abs(at.loss) or number == most:
            return Found(point, at, excess, number)
        taken = _line_search(objective, point, at, downhill, promised, slack)
        if taken is None:
            if not pairs:
                return Found(point, at, excess, number)
            pairs.clear()  # what was learnt misleads: once more, by the preconditioner alone
            objective.factor(at)
            continue
        step, beyond = taken
        change = beyond.gradient - at.gradient
        product = float(np.vdot(step[: objective.paired], change))
        if product > 0:
            pairs.append(_Pair(step, change, 1 / product))
        point, at = point + step, beyond
    raise AssertionError("unreachable")


def _quasi_newton(objective: Objective, pairs: deque[_Pair], gradient: Values) -> Values:
    """The inverse Hessian, as far as it is known, times the gradient: a step uphill."""
    (axpy,) = get_blas_funcs(("axpy",), dtype=gradient.dtype)
    paired, left, shares = objective.paired, gradient.copy(), []
    for pair in reversed(pairs):
        share = pair.rho * float(np.vdot(pair.step[:paired], left))
        axpy(pair.change, left, a=-share)
        shares.append(share)
    step = objective.precondition(left)
    for pair, share in zip(pairs, reversed(shares), strict=True):
        axpy(pair.step, step, a=share - pair.rho * float(np.vdot(step[:paired], pair.change)))
    return step


def _line_search(
    objective: Objective, point: Values, at: At, uphill: Values, promised: float, slack: float
) -> tuple[Values, At] | None:
    """The longest of 1, ½, ¼, … of the way down that lowers the loss enough; ``slack``: by how much a loss is rounded."""
    share = 1.0
    while share >= LEAST_STEP and promised > 0:
        step = uphill * uphill.dtype.type(-share)
        beyond = objective.at(point + step)
        if beyond.loss <= at.loss - SUFFICIENT * share * promised + slack * abs(at.loss):
            return step, beyond
        share /= 2
    return None
