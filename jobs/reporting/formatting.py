"""Numbers and settings as the report writes them: one place, so that page, terminal and cards say the same. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tlbatch import nouns
from tlbatch.backbones.handcrafted import HAND_CRAFTED
from tlbatch.contracts.reports import AskedRun
from tlbatch.kinds import kind_of
from tlbatch.plugins import find
from tlbatch.spec.added import added_name
from tlbatch.spec.model import fitted_head
from tlbatch.strategies import settings_of, strategy_of

MINUS = "\u2212"


def percent(fraction: float, digits: int = 1) -> str:
    """0.8946 -> '89.5 %'."""
    return f"{100 * fraction:.{digits}f} %" if math.isfinite(fraction) else "–"


def points(difference: float) -> str:
    """A difference of two fractions, without sign, in percentage points: 0.0312 -> '3.1 points'."""
    shown = f"{abs(100 * difference):.1f}"
    return f"{shown} point" if shown == "1.0" else f"{shown} points"


def signed_points(difference: float) -> str:
    """0.0312 -> '+3.1', -0.0312 -> '−3.1' (a real minus), 0 -> '0.0'."""
    shown = f"{100 * difference:.1f}"
    if float(shown) == 0:
        return "0.0"
    return f"+{shown}" if difference > 0 else MINUS + shown.removeprefix("-")


def interval_points(low: float, high: float) -> str:
    """'+1.2 to +5.0'."""
    return f"{signed_points(low)} to {signed_points(high)}"


def p_value(p: float) -> str:
    """'p < 0.001' or 'p = 0.012'; never p = 0 or, where it is less, p = 1."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {min(p, 1.0):.3f}" if p < 0.0995 else f"p = {min(p, 1.0):.2f}"


def number(value: float | None, digits: int = 3) -> str:
    """A plain number; an en dash for what is not known."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    """1234567 -> '1.2 M', 12345 -> '12.3 k', 950 -> '950'."""
    if value is None:
        return "–"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):.1f} {letter}"
    return f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """'38 ms', '0.4 s', '37 s', '12 min', '3.4 h'."""
    if seconds is None:
        return "–"
    if seconds < 0.1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def listing(words: Sequence[str], last: str = "and") -> str:
    """'a', 'a and b', 'a, b and c'."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""


def plural(n: int, word: str, many: str | None = None) -> str:
    """'1 image', '1,000 images'."""
    return f"{n:,} {word if n == 1 else many or word + 's'}"


def items_in_units(items: int, units: int) -> str:
    """'117 test images'; '120 test images in 12 groups' where they come in groups, which count as one each."""
    return nouns.count(items, "test") + (f" in {plural(units, 'group')}" if units != items else "")


def backbone_name(asked: AskedRun) -> str:
    """The pretrained network's name: ``<study>/<run>`` where it is a model of an earlier study."""
    backbone = asked.model.backbone
    return (backbone.name if backbone else None) or asked.from_ or "an earlier study's model"


def is_hand_crafted(asked: AskedRun) -> bool:
    """Whether the run is a control on features that no network learned."""
    return asked.model.backbone is not None and asked.model.backbone.name == HAND_CRAFTED


def recipe(asked: AskedRun) -> str:
    """What a run is, in a phrase: 'features of layer conv2', 'fine-tuned from block4 on', 'trained from scratch'."""
    if asked.prompts:
        return f"texts name the classes ({_texts(asked)}), no labels used"
    if asked.unseen:
        return "the backbone's own head and the classes' descriptions (ConSE), no labels used"
    if asked.role == "zero_label" or asked.strategy is None:
        return "the backbone's own head, no labels used"
    strategy, model = asked.strategy, asked.model
    if is_hand_crafted(asked):
        return "logistic regression on colour histograms and HOG, no network"
    layer = f"layer {model.layer}" if model.layer else "the last layer"
    start = "" if asked.pretrained or model.scratch is not None else ", random weights"
    head = f", {title}" if (title := _head_title(model.head)) else ""
    return f"{strategy_of(strategy).phrase(settings_of(strategy), layer)}{head}{start}"


def _texts(asked: AskedRun) -> str:
    """'7 prompts a class'; '1 to 7 prompts a class'."""
    counts = sorted(len(texts) for texts in asked.prompts.values())
    span = "" if counts[0] == counts[-1] else f"{counts[0]} to "
    return f"{span}{plural(counts[-1], 'prompt')} a class"


def _head_title(head: Mapping[str, Any] | None) -> str:
    """Of what is more than a layer or a logistic regression."""
    if (name := added_name(head)) is not None:
        return str(find("heads", name).title)
    return {"prototypes": "nearest class mean", "knn": "nearest neighbours"}.get(fitted_head(head) or "", "")


def fed(settings: Mapping[str, Any], *, scale: bool = True) -> str:
    """How items are fed, in a phrase; with ``scale`` what their values are, too."""
    kind = kind_of(settings.get("kind"))
    scaling = kind.scaling(settings) if scale else ""
    return kind.phrase(settings) + (f", {scaling}" if scaling else "")
