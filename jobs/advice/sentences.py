"""The advice in sentences: what to take, how sure that is, against what, what it costs, and what none of it says. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs.advice.accuracy import FOLDS, C
from jobs.advice.baselines import LARGEST, TOP1, Ranking
from jobs.advice.choice import ENOUGH, LABELS_TO_TUNE, Choice, Contender, Rival
from jobs.advice.judging import Images
from jobs.reporting.formatting import interval_points, listing, number, p_value, percent, plural, points
from tlbatch import nouns

HOWS = {
    "features": "take its features and train a head on them",
    "finetune": "fine-tune it",
    "scratch": "train a network from scratch: pretraining is not shown to help",
}


def headline(choice: Choice) -> str:
    """What to do, in a line."""
    if choice.how == "scratch":
        return f"No pretrained network is shown to help: {choice.recommended.title} is no better than random weights"
    verb = "Take features of" if choice.how == "features" else "Fine-tune"
    return f"{verb} {choice.recommended.title}, layer {choice.recommended.layer.name}"


def sentences(choice: Choice, ranked: Sequence[Ranking], images: Images) -> list[str]:
    """First what to take and how sure, then the rest in the order of the questions: which, where, how, by what, how much."""
    return [
        f"{headline(choice)}: {_how_sure(choice)}",
        *_which(choice),
        *_layer(choice.recommended),
        _how(choice),
        *_against(choice, ranked),
        _cost(choice.recommended, images),
        _read(images),
    ]


def _how_sure(choice: Choice) -> str:
    own = choice.recommended
    said = f"a linear probe on it is right on {percent(own.accuracy)} of the {nouns.items()} that it had not seen "
    said += f"(95 % interval {percent(own.layer.probe.low)} to {percent(own.layer.probe.high)})"
    if not choice.rivals:
        return f"{said}. There was no other candidate to compare it with."
    if not choice.ties:
        return f"{said}, and it is shown to be better than {listing([rival.contender.title for rival in choice.rivals])}."
    return f"{said}."


def _which(choice: Choice) -> Iterator[str]:
    """Ties are called ties."""
    if not choice.rivals:
        return
    best, own = choice.best, choice.recommended
    nearest = min(choice.rivals, key=lambda rival: rival.difference.value)
    if not choice.ties:
        yield f"The next is {nearest.contender.title}. {_difference(best, nearest)}"
        return
    names = listing([rival.contender.title for rival in choice.ties])
    over = plural(len(choice.rivals), "comparison")
    yield (
        f"A tie: {best.title} is right most often, and it is not shown to be better than {names} (Holm-adjusted over {over}). "
        f"{_difference(best, nearest)}"
    )
    yield _by_log_loss(choice)
    cheaper = [rival.contender.title for rival in choice.ties if rival.contender.cost < own.cost and rival.contender is not own]
    cheaper += [best.title] if best is not own and best.cost < own.cost else []
    if cheaper:
        yield f"Cheaper to compute, and not shown to be worse than the best: {listing(cheaper)}."


def _by_log_loss(choice: Choice) -> str:
    """Why that one of a tie."""
    best, own = choice.best, choice.recommended
    others = [each for each in (best, *(rival.contender for rival in choice.ties)) if each is not own]
    next_ = min(others, key=lambda each: each.log_loss)
    said = f"Of these {own.title} gives the labels the highest probability (log loss {number(own.log_loss)} against "
    said += f"{number(next_.log_loss)} of {next_.title}), which tells networks apart by fewer {nouns.items()} than counting "
    said += "who is right; so it is recommended"
    if best is not own and best.accuracy > own.accuracy:
        said += f", although {best.title} was right {points(best.accuracy - own.accuracy)} more often"
    return f"{said}."


def _difference(best: Contender, rival: Rival) -> str:
    found = rival.difference
    return (
        f"{best.title} minus {rival.contender.title}: {interval_points(found.low_adjusted, found.high_adjusted)} points "
        f"({p_value(found.p_adjusted)})."
    )


def _layer(own: Contender) -> Iterator[str]:
    found = own.better_than_usual
    if found is not None:
        yield (
            f"Layer {own.layer.name} is shown to be better than the usual one, {own.judged.default}: by "
            f"{interval_points(found.low_adjusted, found.high_adjusted)} points."
        )
    elif len(own.judged.layers) > 1:
        yield f"No other of the {len(own.judged.layers)} layers that were judged is shown to be better than {own.layer.name}."


def _how(choice: Choice) -> str:
    gain, few = choice.gain, f"{choice.labels_a_class} labels in the smallest class"
    why = f"How: {HOWS[choice.how]}."
    if gain is not None:
        over = interval_points(gain.low, gain.high)
        why += f" Against the same by random weights it gains {over} points ({p_value(gain.p)})."
    if choice.how == "features" and choice.recommended.accuracy >= ENOUGH:
        why += f" With {percent(ENOUGH, 0)} or more right, fine-tuning has little to win."
    elif choice.how == "features":
        why += f" With {few} (below {LABELS_TO_TUNE}), fine-tuning has little to learn from."
    elif choice.how == "finetune":
        why += f" Below {percent(ENOUGH, 0)}, and with {few}, it has room to win; the study written here runs both."
    return f"{why} This is a rule of thumb, not a measurement."


def _against(choice: Choice, ranked: Sequence[Ranking]) -> Iterator[str]:
    """What costs nothing, and the scores that are no better than that."""
    titles = {each.name: each.title for each in choice.contenders}
    tied = {rival.contender.name for rival in choice.ties}
    if len(choice.contenders) > 1:
        for found in (each for each in ranked if each.score in (TOP1, LARGEST)):
            if found.pick is None or found.below is None:
                yield f"{found.title} is known of no candidate."
                continue
            some = f" of the {found.known} that it knows" if found.known < found.candidates else ""
            worth = "the probe's best, too" if found.below <= 0 else f"{points(found.below)} below the probe's best"
            worth += ", which is not shown" if found.below > 0 and found.pick in tied else ""
            yield f"By {found.title} alone one would take {titles[found.pick]}{some}: {worth}."
        weak = [each.title for each in ranked if each.beats_top1 is False and each.score not in (TOP1, LARGEST, "probe")]
        if weak:
            yield f"No better than ImageNet top-1 on these candidates, by the probe: {listing(weak)}."


def _cost(own: Contender, images: Images) -> str:
    asked, passes = own.judged.asked, plural(images.whole, "forward pass", "forward passes")
    size = f"{asked.parameters / 1e6:.1f} million parameters" if asked.parameters else "parameters not known"
    return (
        f"On the whole data: {passes} for features, once ({asked.title}, {size}); `tlbatch check` of the study says what its "
        "tasks take."
    )


def _read(images: Images) -> str:
    units = len(set(images.units.tolist()))
    groups = f" in {units:,} units" if units != images.n else ""
    classes = plural(len(images.classes), "class", "classes")
    return (
        f"Judged on {images.n:,} training and validation {nouns.items()}{groups} of {classes}; no test {nouns.item()} was "
        f"read. The probe is a logistic regression (C = {C:g} on standardised features), trained on {FOLDS - 1} of {FOLDS} "
        f"folds and judged on the rest; intervals allow for the folds' shared training {nouns.items()}."
    )
