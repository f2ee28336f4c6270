"""What is said of a label curve beside training from random weights: enclosed, beyond the data, extrapolated or not."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.curves.sentences import beside_scratch

LABELS = (5, 10, 20, 50)


def said(gains: list[float], crossing: dict[str, Any], beyond: dict[str, Any] | None = None) -> str:
    points = [
        {
            "labels": labels,
            "gain": {"value": gain, "low": gain - 0.05, "high": gain + 0.05},
            "verdict": "harmed" if gain < -0.05 else "open",
        }
        for labels, gain in zip(LABELS, gains, strict=True)
    ]
    scratch = {"name": "cnn", "draws": 3, "points": points, "crossing": crossing, "beyond": beyond}
    (sentence,) = beside_scratch({"name": "line", "scratch": scratch})
    return sentence


@pytest.mark.parametrize(
    ("gains", "crossing", "beyond", "expected"),
    [
        (
            [0.3, 0.2, 0.0, -0.1],
            {"low": 10, "high": 50, "value": 20.2},
            None,
            "transfer is shown to pay up to 10 labels a class (+20.0 points [+15.0, +25.0] there); it is shown to harm from "
            "50 labels on (−10.0 points [−15.0, −5.0] there). So it stops paying between 10 and 50 labels a class; the "
            "measured curves cross at about 20.",
        ),
        (
            [0.3, 0.2, 0.2, 0.1],
            {"low": 50, "high": None, "value": None},
            {"value": 90, "low": 60, "high": None, "horizon": 200},
            "transfer is shown to pay at every number of labels that was asked, up to 50 labels a class (+10.0 points "
            "[+5.0, +15.0] there). Where it stops paying is not within the data: by the fitted laws at about 90 labels a class "
            "(95 % interval 60 to later than 200).",
        ),
        (
            [0.3, 0.2, 0.2, 0.1],
            {"low": 50, "high": None, "value": None},
            {"value": None, "low": None, "high": None, "horizon": 200},
            "Where it stops paying is not within the data: by the fitted laws not up to 200 labels a class either, four times "
            "as many.",
        ),
        (
            [0.3, 0.2, 0.02, 0.01],
            {"low": 10, "high": None, "value": None},
            {"value": None, "low": 50, "high": 120, "horizon": 200},
            "; with 50 labels no difference is shown (+1.0 points [−4.0, +6.0]). Where it stops paying is not within the data: "
            "by the fitted laws not up to 200 labels a class (95 % interval 10 to 120).",
        ),
        (
            [-0.2, -0.2, -0.2, -0.1],
            {"low": None, "high": 5, "value": None},
            None,
            "with 5 labels a class transfer is not shown to pay (−20.0 points [−25.0, −15.0]); it is shown to harm from",
        ),
        ([0.1, 0.1, 0.1, 0.1], {"low": 50, "high": None, "value": None}, None, "and not extrapolated: both laws need four"),
        (
            [-0.15, -0.1, 0.0, 0.0],
            {"low": None, "high": None, "value": None},
            None,
            "is not shown to pay (−15.0 points [−20.0, −10.0]); it is shown to harm with 5 and 10; with 50 labels no "
            "difference is shown (+0.0 points [−5.0, +5.0]). Where it would stop paying is not said: it is not shown to "
            "pay with the fewest.",
        ),
    ],
)
def test_where_it_stops_paying(
    gains: list[float], crossing: dict[str, Any], beyond: dict[str, Any] | None, expected: str
) -> None:
    sentence = said(gains, crossing, beyond)
    assert sentence.startswith("line beside cnn, trained from random weights on the same labels (3 draws): ")
    assert expected in sentence


def test_nothing_is_said_without_one_and_too_few_images_are() -> None:
    assert list(beside_scratch({"name": "line"})) == []
    scratch = {"name": "cnn", "draws": 3, "points": [], "crossing": None, "beyond": None}
    (sentence,) = beside_scratch({"name": "line", "scratch": scratch})
    assert sentence.endswith("has too few training images for any number of labels that was asked.")
