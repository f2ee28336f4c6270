"""Class names that are one to the eye: ``cat`` and ``Cat ``, composed and decomposed letters, Cyrillic among Latin. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from tlbatch.schema.writing import yaml_text

_TWINS = str.maketrans(
    "аеорсухіјѕһԁԛԝѵүӏкмтвнαεορυνικτχɡɑℓ‐‑‒–—―−ʼ’‘",
    "aeopcyxijshdqwvylkmtbhaeopuviktxgal-------'''",
)
"""Letters of other scripts (casefolded) that look as a Latin one does; dashes and quotes of all kinds.

The standard library has no table of confusables (Unicode TR 39): these are the ones that keyboards make.
"""


def look_of(name: str) -> str:
    """What is equal for names that look alike: NFKC, case, blanks, invisible characters, trailing dots, twins of letters."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(char for char in folded if _shows(char))
    text = re.sub(r"\s+", " ", seen.translate(_TWINS)).strip()
    return text.rstrip(". ") or text


def _shows(char: str) -> bool:
    """Not: zero-width and control characters (a line break counts as a blank), variation selectors."""
    kind = unicodedata.category(char)
    return char in "\t\n\r\v\f" or not (kind in {"Cf", "Cc"} or (kind == "Mn" and 0xFE00 <= ord(char) <= 0xFE0F))


def alike(counts: Mapping[str, int], apart: Collection[str] = ()) -> list[list[str]]:
    """Groups of names that look alike, the one to merge the others into first: it has most files, or is plainest.

    Groups of which all names are in ``apart`` are left out: somebody who wrote them down tells them apart.
    """

    def order(name: str) -> tuple[int, bool, int, str]:
        plain = unicodedata.normalize("NFKC", name).strip().strip(".") == name
        return -counts[name], not plain, len(name), name

    by_look: dict[str, list[str]] = defaultdict(list)
    for name in sorted(counts, key=order):
        by_look[look_of(name)].append(name)
    return [group for group in by_look.values() if len(group) > 1 and not all(name in apart for name in group)]


def written_aliases(groups: Iterable[Sequence[str]]) -> str:
    """The value of ``dataset.aliases`` as YAML that merges each group into its first name."""
    merged = [
        f"{yaml_text(name, visible=True, is_key=True)}: {yaml_text(group[0], visible=True)}"
        for group in groups
        for name in group[1:]
    ]
    return "{" + ", ".join(merged) + "}"


def refused_alike(groups: Sequence[Sequence[str]], counts: Mapping[str, int], task: str = "") -> str:
    """One sentence: the names with their counts, and what merges them or keeps them apart; of which ``task``, of several."""
    said = [" and ".join(f"{yaml_text(name, visible=True)} ({counts[name]} files)" for name in group) for group in groups]
    every = ", ".join(yaml_text(name, visible=True) for group in groups for name in group)
    apart = "give them other names in its column" if task else f"name them in dataset.classes ({every} and the others)"
    where = f"task {task}: " if task else ""
    return (
        f"{where}{'; '.join(said)} look alike: dataset.aliases: {written_aliases(groups)} merges them; "
        f"if they are different, {apart}"
    )
