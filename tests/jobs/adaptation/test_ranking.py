"""What a run gets on a source's images never ranks it above one that was validated on the target."""

from __future__ import annotations

import math

from jobs.promotion.candidates import Candidate, choose
from jobs.reporting.validation import Standing


def test_in_a_report() -> None:
    """Failed before: 99 % on images of the source was "best on validation" beside 80 % on the target's."""
    target, source, never = Standing(0.8, 0.6), Standing(0.99, 0.02, ("films",)), Standing(math.nan, math.nan)
    assert sorted([source, target], key=lambda each: each.order) == [target, source]
    assert sorted([Standing(0.7, 1.0, ("films",)), source], key=lambda each: each.order)[0] is source
    assert sorted([never, target], key=lambda each: each.order)[0] is target


def test_as_challenger() -> None:
    target = Candidate("supervised", 0, validation={"accuracy": 0.8, "log_loss": 0.6, "n": 50})
    source = Candidate("adapted", 0, validation={"accuracy": 0.99, "log_loss": 0.02, "n": 50}, elsewhere=True)
    assert choose([source, target], "accuracy") is target
    assert choose([source], "accuracy") is source
