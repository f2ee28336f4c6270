"""Progress in words: whole epochs and a share of the one at work, never bare fractions or powers of ten."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlbatch.display.text import progress_words, rate_words


@pytest.mark.parametrize(
    ("done", "total", "unit", "said"),
    [
        (0.0555556, 10, "epochs", "epoch 1 of 10, 6 %"),
        (0, 10, "epochs", "epoch 1 of 10, 0 %"),
        (2.9999999999, 10, "epochs", "epoch 4 of 10, 0 %"),
        (3.999, 10, "epochs", "epoch 4 of 10, 99 %"),
        (10, 10, "epochs", "10 of 10 epochs"),
        (1234567, 2000000, "images", "1,234,567/2,000,000 images"),
        (1, 4, "parts", "1/4 parts"),
        (0.5, 4, "", "0.5/4"),
    ],
)
def test_progress(done: float, total: float, unit: str, said: str) -> None:
    assert progress_words(done, total, unit) == said


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1e7), st.floats(1, 1e7), st.sampled_from(["epochs", "images"]), st.floats(1e-6, 1e6))
def test_no_progress_is_told_with_a_long_fraction_or_a_power_of_ten(done: float, total: float, unit: str, rate: float) -> None:
    for said in (progress_words(done, total, unit), rate_words(rate, unit)):
        assert not re.search(r"\d\.\d\d|e[+-]\d|nan|inf", said), said


@pytest.mark.parametrize(("rate", "said"), [(1234.5, "1,234 images/s"), (3.21, "3.2 images/s"), (0.01, "1 min 40 s per image")])
def test_rate(rate: float, said: str) -> None:
    assert rate_words(rate, "images") == said
