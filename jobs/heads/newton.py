"""Minimum of a smooth convex function by Newton's method, its steps found by conjugate gradients. Free of what is minimised.

Nocedal and Wright 2006, algorithm 7.1 (line search Newton-CG) with a preconditioner that may be anything. Points and steps are
flat arrays of which the first ``paired`` values are those that a gradient is the derivative by (in whatever coordinates make
the inner product gradient · step right); the rest, which may be none, are linear in them and carried along, so that an
objective can keep both coefficients and what they lead to.

Losses and gradients are as precise as the point; steps are found in single precision, whatever that is. A step that is a
little wrong costs a part of another, never the minimum (as iterative refinement of linear systems: Higham 2002, chapter 12).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
MOST_STEPS = 100
MOST_TURNS = 250  #: of conjugate gradients in a step
PATIENCE = 20
"""Steps after which a search stops whose products only stand for those of the Hessian: its steps lead elsewhere."""
NEARER = 0.1
"""Of the squared Newton decrement at a step's start, what conjugate gradients leave at most. Near the minimum it is the share
of the loss that the decrement is, as Newton's method itself leaves about that (Eisenstat and Walker 1996, SIAM Journal on
Scientific Computing 17)."""
LEAST_SHARE = 2.0**-12
SUFFICIENT = 1e-4  #: share of the promised decrease that a step must bring (Armijo)


@dataclass(frozen=True)
class At:
    """The objective at a ``point``: ``loss``, its ``gradient`` [paired], and the ``curvature`` its preconditioner needs."""

    point: Values
    loss: float
    gradient: Values
    curvature: Values


class Objective(Protocol):
    """What is minimised. But for ``at`` and ``settled`` all is float32."""

    @property
    def paired(self) -> int: ...

    @property
    def exact(self) -> bool:
        """Whether products are those of the Hessian; else what a step carries along is not what follows from it, either."""

    @property
    def lasting(self) -> int:
        """Steps after which the preconditioner is made anew, at the point reached."""

    def at(self, point: Values) -> At: ...

    def settled(self, step: Values) -> Values:
        """The same with what is carried along computed anew from what it follows from, as precisely as ``step``."""

    def factor(self, at: At) -> None:
        """Get ready to precondition near a point."""

    def linearise(self, at: At) -> None:
        """Get ready for products with the Hessian at a point."""

    def product(self, step: Values) -> Values:
        """The Hessian times ``step``: by how much the gradient [paired] changes along it."""

    def precondition(self, gradient: Values) -> Values:
        """About the inverse Hessian times ``gradient``: a step, as long as a point."""


@dataclass(frozen=True)
class Found:
    """``excess``: about how far ``loss`` is above the minimum, half the squared Newton decrement of the preconditioner.

    ``turns``: products with the Hessian, all steps together.
    """

    point: Values
    at: At
    excess: float
    steps: int
    turns: int

    @property
    def share(self) -> float:
        """Of the loss that ``excess`` is: where it is more than was asked for, the search stopped before its end.

        So it did where rounding left no more than the size of a decrement, and not its sign.
        """
        return abs(self.excess / self.at.loss) if self.at.loss else 0.0


def minimise(
    objective: Objective, point: Values, *, relative: float, most: int = MOST_STEPS, check: Callable[[], None] = lambda: None
) -> Found:
    """From ``point`` until the loss is about ``relative`` times itself above the minimum, or rounding hides what is left.

    ``check`` is called before every product: it may raise, to stop.
    """
    at, turns, factored = objective.at(point), 0, -objective.lasting  # long ago
    slack = float(np.finfo(point.dtype).eps) * 4
    most = most if objective.exact else min(most, PATIENCE)
    for number in range(most + 1):
        check()
        if number - factored >= objective.lasting:
            objective.factor(at)
            factored = number
        first = objective.precondition(at.gradient.astype(np.float32))
        decrement = _dot(objective, at.gradient, first)
        found = Found(at.point, at, decrement / 2, number, turns)
        if 0 <= found.excess <= relative * abs(at.loss) or number == most:
            return found
        goal = max(min(NEARER, decrement / abs(at.loss)) * decrement, relative * abs(at.loss))
        uphill, own = _newton_step(objective, at, first, goal, check)
        turns += own
        if not (objective.exact and point.dtype == np.float32):
            uphill = objective.settled(uphill.astype(point.dtype))
        beyond = _line_search(objective, at, uphill, slack)
        if beyond is None and factored == number:
            return found
        if beyond is None:
            factored = -objective.lasting  # once more, by a preconditioner of this point
        else:
            at = beyond
    raise AssertionError("unreachable")


def _newton_step(objective: Objective, at: At, ahead: Values, goal: float, check: Callable[[], None]) -> tuple[Values, int]:
    """The inverse Hessian times the gradient, uphill, until the squared decrement of what is left is ``goal``; and its turns.

    ``ahead``: the preconditioned gradient.
    """
    objective.linearise(at)
    left, direction, step = at.gradient.astype(np.float32), ahead.copy(), np.zeros_like(ahead)
    decrement = _dot(objective, left, ahead)
    for turn in range(1, MOST_TURNS + 1):
        check()
        product = objective.product(direction)
        curvature = _dot(objective, product, direction)
        if not curvature > 0:  # rounding
            return (step if turn > 1 else ahead), turn
        share = np.float32(decrement / curvature)
        step += share * direction
        left -= share * product
        ahead = objective.precondition(left)
        before, decrement = decrement, _dot(objective, left, ahead)
        if not decrement > goal:
            return step, turn
        direction *= np.float32(decrement / before)
        direction += ahead
    return step, MOST_TURNS


def _line_search(objective: Objective, at: At, uphill: Values, slack: float) -> At | None:
    """After the longest of 1, ½, ¼, … of the way down that lowers the loss enough; ``slack``: by how much one is rounded."""
    share, promised = 1.0, _dot(objective, at.gradient, uphill)
    while share >= LEAST_SHARE and promised > 0:
        beyond = objective.at(at.point - uphill.dtype.type(share) * uphill)
        if beyond.loss <= at.loss - SUFFICIENT * share * promised + slack * abs(at.loss):
            return beyond
        share /= 2
    return None


def _dot(objective: Objective, gradient: Values, step: Values) -> float:
    return float(np.vdot(gradient, step[: objective.paired]))
