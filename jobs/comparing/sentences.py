"""What a comparison of executions says. Every claim rests on a pair that was tested; nothing here computes a statistic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from jobs.comparing.images import KINDS, ImageChange
from jobs.comparing.pairs import BEST, FEWEST, NAMESAKE, Pair
from jobs.comparing.sides import Side
from jobs.comparing.studies import FieldChange
from jobs.reporting.chance import doubt
from jobs.reporting.contrasts import BETTER, NOT_SHOWN, WORSE, Contrast
from jobs.reporting.formatting import items_in_units, listing, percent, plural, points, signed_points
from jobs.reporting.sentences import accuracy, interval_of, over_seeds, statistics, tested_on, than
from tlbatch import nouns

MOST_NAMED = 5  #: fields that the sentence names


def lead_sentence(first: Side, other: Side, pairs: Sequence[Pair], family: int) -> str:
    """The best run of the later execution against that of the first."""
    pair = next((pair for pair in pairs if BEST in pair.kinds), None)
    if pair is None:
        without = [side.letter for side in (first, other) if side.best is None]
        return f"{listing(without)} has no evaluated run, so nothing can be said of the best ones."
    if pair.same:
        return (
            f"The best run by validation of {other.letter} and of {first.letter} is one and the same: {pair.b.name}, "
            f"{accuracy(pair.b)} of {tested_on(pair.b)} right{interval_of(pair.b)}."
        )
    if pair.contrast is None:
        return (
            f"Best by validation: {pair.a.name} with {accuracy(pair.a)} of {tested_on(pair.a)}{interval_of(pair.a)}, "
            f"{pair.b.name} with {accuracy(pair.b)} of {tested_on(pair.b)}{interval_of(pair.b)}; {untested(pair)}."
        )
    return _tested(first, other, pair, pair.contrast, family)


def _tested(first: Side, other: Side, pair: Pair, contrast: Contrast, family: int) -> str:
    d, shown = contrast.accuracy, contrast.verdict != NOT_SHOWN
    headline = f"{other.letter} is {contrast.verdict} than {first.letter}" if shown else "No difference shown"
    least = f"; the smallest difference this test could show with 80 % power is {points(d.smallest)}"
    both = "" if pair.common.whole else " that both were tested on"
    return (
        f"{headline}: {pair.a.name}, the best run of {other.letter} by validation, classifies {percent(pair.right_a)} of "
        f"{items_in_units(d.images, d.groups)}{both} right{over_seeds(pair.a, pair.b)}{doubt(pair.a)}, {than(d.value, shown)} "
        f"{pair.b.name}, the best of {first.letter} ({percent(pair.right_b)}{doubt(pair.b)}): "
        f"{statistics(contrast, family)}{'' if shown else least}."
    )


def untested(pair: Pair) -> str:
    """Why a pair was not tested. No full stop."""
    if pair.same:
        return "both are one and the same evaluation"
    n = pair.common.images
    common = f"no test {nouns.item()}" if n == 0 else f"only {nouns.count(n, 'test')}"
    return f"they have {common} in common, and {FEWEST} are the fewest to test with, so the difference was not tested"


def images_sentence(first: Side, other: Side, pairs: Sequence[Pair]) -> str:
    """Whether the test images are the same ones. Test sets belong to executions: all pairs of two have the same."""
    if not pairs:
        return ""
    common = pairs[0].common
    if common.whole:
        return f"{other.letter} and {first.letter} were tested on the same {nouns.count(common.images)}."
    parts = [f"{common.images:,} {'is' if common.images == 1 else 'are'} in both"]
    parts += [f"{n:,} only in {letter}" for n, letter in ((common.only_b, first.letter), (common.only_a, other.letter)) if n]
    if common.relabelled:
        parts.append(f"{common.relabelled:,} in both with different labels, {_was(common.relabelled)} left out")
    return (
        f"The test {nouns.items()} of {other.letter} and {first.letter} are not the same: {listing(parts)}. Paired "
        f"differences are over "
        "those in both; the interval of a single run is over its own."
    )


def _was(n: int) -> str:
    return "which is" if n == 1 else "which are"


def namesakes_sentence(first: Side, other: Side, pairs: Sequence[Pair]) -> str:
    """Runs of the same name: what is shown to differ, what is not, what is the same."""
    own = [pair for pair in pairs if NAMESAKE in pair.kinds]
    names = {id(pair): other.own_name(pair.a) for pair in own}
    gains = {id(pair): signed_points(pair.contrast.accuracy.value) for pair in own if pair.contrast}
    said = []
    for verdict, words in ((BETTER, "better in"), (WORSE, "worse in")):
        shown = [f"{names[id(p)]} ({gains[id(p)]} points)" for p in own if p.contrast and p.contrast.verdict == verdict]
        said += [f"{words} {other.letter}: {listing(shown)}"] if shown else []
    hidden = [f"{names[id(p)]} ({gains[id(p)]})" for p in own if p.contrast and p.contrast.verdict == NOT_SHOWN]
    said += [f"no difference shown: {listing(hidden)}"] if hidden else []
    same = [names[id(p)] for p in own if p.same]
    said += [f"the very same evaluation: {listing(same)}"] if same else []
    return f"Runs of one name, {other.letter} against {first.letter}; {'; '.join(said)}." if said else ""


def study_sentence(first: Side, other: Side, changes: Sequence[FieldChange]) -> str:
    telling = [change.path for change in changes if not change.neutral]
    if not changes:
        return f"The studies of {other.letter} and {first.letter} are the same."
    if not telling:
        return f"The studies of {other.letter} and {first.letter} differ only in {listing([c.path for c in changes])}."
    named = listing(telling) if len(telling) <= MOST_NAMED else f"{', '.join(telling[:MOST_NAMED])}, …"
    return f"The studies of {other.letter} and {first.letter} differ in {plural(len(telling), 'field')}: {named}."


def data_sentence(first: Side, other: Side, images: Sequence[ImageChange], parted: Mapping[tuple[str, str], int]) -> str:
    """'Images of B against those of A: 10 added and 1 relabelled; of the others, 2 went from train to test.'"""
    went = listing([f"{n:,} went from {before} to {after}" for (before, after), n in sorted(parted.items())])
    if not images:
        same = f"The data of {other.letter} and {first.letter} are the same {nouns.items()} with the same labels"
        return f"{same}{f'; {went}' if went else ''}."
    counts = Counter(change.kind for change in images)
    parts = [f"{counts[kind]:,} {kind}" for kind in KINDS if counts[kind]]
    of_others = f"; of the others, {went}" if went else ""
    return f"{nouns.items().capitalize()} of {other.letter} against those of {first.letter}: {listing(parts)}{of_others}."
