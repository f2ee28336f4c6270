"""A label curve in words: whether transfer pays, up to how many labels, what twice as many would bring, and to which class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.reporting.formatting import listing
from tlbatch import nouns

MOST_CLASSES = 3


def sentences_of(run: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """Of one run of ``curve.json``, the most important first."""
    return [*_transfer(run), *beside_scratch(run), *_more(run), *_classes(run, document)]


def _transfer(run: Mapping[str, Any]) -> Iterator[str]:
    points, name = run["points"], run["name"]
    if run.get("scratch") and run["control"] is not None:
        name = f"{name} beside {run['control']}, the same head on random weights"
    if run["control"] is None:
        yield f"{name} has no control: whether its features help is not said."
        return
    verdicts = [(point["labels"], point["verdict"]) for point in points]
    helped, harmed, still = ([n for n, each in verdicts if each == kind] for kind in ("helped", "harmed", "open"))
    last = verdicts[-1][0]
    if helped:
        most = max((point for point in points if point["labels"] in helped), key=lambda point: point["gain"]["value"])
        gained = f"most with {_count(most['labels'])}: {_gain(most['gain'])}"
        if len(helped) == len(verdicts):
            yield f"{name}: transfer pays at every number of labels that was asked, {_span(helped)} a class ({gained})."
        else:
            yield f"{name}: transfer pays with {listing([*map(str, helped)])} labels a class ({gained})."
        after = [n for n, each in verdicts if n > max(helped)]
        if after:
            text = "no difference is shown" if all(n in still for n in after) else "it is not shown to help"
            why = "transfer has stopped paying there, or there is too little to see it by"
            yield f"{name}: from {_count(after[0])} a class on, {text} (up to {last}): {why}."
    elif still:
        yield f"{name}: no gain over {run['control']} is shown at any number of labels ({listing([*map(str, still)])} a class)."
    if harmed:
        worst = min((point for point in points if point["labels"] in harmed), key=lambda point: point["gain"]["value"])
        most = f"{_gain(worst['gain'])} with {_count(worst['labels'])}"
        yield f"{name}: transfer harms with {listing([*map(str, harmed)])} labels a class ({most})."


def beside_scratch(run: Mapping[str, Any]) -> Iterator[str]:
    """Up to how many labels transfer pays, against a network that was trained from random weights on the same ones."""
    scratch = run.get("scratch")
    if scratch is None:
        return
    name, points = run["name"], scratch["points"]
    against = f"{scratch['name']}, trained from random weights on the same labels ({scratch['draws']} draws)"
    if not points:
        yield f"{name}: {against}, has too few training {nouns.items()} for any number of labels that was asked."
        return
    within, first, last = scratch["crossing"], points[0], points[-1]
    low, high = within["low"], within["high"]
    at = {point["labels"]: point for point in points}
    if low is None:
        said = f"with {_count(first['labels'])} a class transfer is not shown to pay ({_gain(first['gain'])})"
    else:
        all_ = low == last["labels"]
        up_to = "at every number of labels that was asked, up to" if all_ else "up to"
        said = f"transfer is shown to pay {up_to} {_count(low)} a class ({_gain(at[low]['gain'])} there)"
    harmed = [
        str(point["labels"]) for point in points if point["verdict"] == "harmed" and (high is None or point["labels"] < high)
    ]
    if harmed:
        said += f"; it is shown to harm with {listing(harmed)}"
    if high is not None:
        said += f"; it is shown to harm from {_count(high)} on ({_gain(at[high]['gain'])} there)"
    elif low != last["labels"]:
        said += f"; with {_count(last['labels'])} no difference is shown ({_gain(last['gain'])})"
    yield f"{name} beside {against}: {said}. {_crossing(within, scratch['beyond'], last['labels'])}"


def _crossing(within: Mapping[str, Any], beyond: Mapping[str, Any] | None, last: int) -> str:
    """Where it stops paying: enclosed by what was measured, extrapolated, or neither."""
    if within["low"] is None and within["high"] is None:
        return "Where it would stop paying is not said: it is not shown to pay with the fewest."
    about = f"; the measured curves cross at about {within['value']:.0f}" if within["value"] is not None else ""
    low, high = within["low"], within["high"]
    if high is not None:
        start = "before" if low is None else f"between {low} and"
        return f"So it stops paying {start} {_count(high)} a class{about}."
    outside = f"Where it stops paying is not within the data{about}"
    if beyond is None:
        return f"{outside}, and not extrapolated: both laws need four numbers of labels or more, up to the last one."
    low = beyond["low"] if low == last else low
    start = "" if low is None else str(low)
    if beyond["value"] is None and beyond["low"] is None:
        return f"{outside}: by the fitted laws not up to {beyond['horizon']} labels a class either, four times as many."
    law = f"at about {beyond['value']}" if beyond["value"] is not None else f"not up to {beyond['horizon']}"
    end = f"to {beyond['high']}" if beyond["high"] is not None else f"to later than {beyond['horizon']}"
    return f"{outside}: by the fitted laws {law} labels a class (95 % interval {start or 'from the fewest'} {end})."


def _more(run: Mapping[str, Any]) -> Iterator[str]:
    twice, name = run["twice"], run["name"]
    if twice is None:
        yield f"{name}: what more labels would bring is not predicted: the law needs four numbers of labels or more."
        return
    gain, accuracy = twice["gain"], twice["accuracy"]
    less = " (it may bring nothing)" if gain["low"] <= 0 else ""
    yield (
        f"{name}: twice the labels, {twice['labels']} a class instead of {twice['over']}: {_points(gain['value'])} points "
        f"[{_points(gain['low'])}, {_points(gain['high'])}]{less}, to {_percent(accuracy)}."
    )


def _classes(run: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    name, found = run["name"], run["classes"]
    if not found:
        few = len(document["labels"]) < 2 or document["labels"][-1] < 2 * document["labels"][0]
        why = (
            "the numbers of labels are too near to each other"
            if few
            else f"the classes have fewer than ten test {nouns.items()}"
        )
        yield f"{name}: which classes need labels most is not said: {why}."
        return
    gaining = sorted((each for each in found if each["verdict"] == "gains"), key=lambda each: -each["slope"]["value"])
    losing = [each for each in found if each["verdict"] == "loses"]
    if gaining:
        steepest = "; ".join(f"{each['class']} {_gain(each['slope'])}" for each in gaining[:MOST_CLASSES])
        more = f", and {len(gaining) - MOST_CLASSES} more" if len(gaining) > MOST_CLASSES else ""
        yield f"{name}: recall gained by each doubling of the labels: {steepest}{more}; of the other classes none is shown."
    else:
        yield f"{name}: of no class is it shown that more labels raise its recall."
    if losing:
        yield f"{name}: with more labels recall falls for {', '.join(each['class'] for each in losing)}."


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _gain(gain: Mapping[str, float]) -> str:
    return f"{_points(gain['value'])} points [{_points(gain['low'])}, {_points(gain['high'])}]"


def _percent(found: Mapping[str, float]) -> str:
    return f"{100 * found['value']:.1f} % [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def _count(labels: int) -> str:
    return "1 label" if labels == 1 else f"{labels} labels"


def _span(labels: Sequence[int]) -> str:
    return f"{labels[0]} to {labels[-1]}" if len(labels) > 1 else str(labels[0])
