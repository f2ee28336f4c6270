"""Folder names that mean a part of a split (``train``, ``Val``, ``test_set``), not a class. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
"""What a CSV's column of parts may say."""

TRAIN, VALIDATION, TEST, EITHER = "train", "validation", "test", "either"
_KINDS = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "devel", "development"), VALIDATION),
    **dict.fromkeys(("test", "testing", "tst"), TEST),
    **dict.fromkeys(("eval", "evaluation", "holdout", "heldout", "holdback"), EITHER),
}
_AROUND = r"(?:sets?|data|datasets?|images?|imgs?|pictures?|photos?|samples?|split|part|folder)"


def kind_of_part(name: str) -> str | None:
    """``train``, ``validation``, ``test`` or ``either`` (of the last two: ``eval``, ``holdout``); None for other names.

    Case, digits, blanks and punctuation do not matter, nor words around it: ``Test Set``, ``images_train``, ``val2017``.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    if not folded.isascii():
        return None
    words = [word for word in re.split(r"[^a-z]+", folded) if word and not re.fullmatch(_AROUND, word)]
    joined = "".join(words)
    if len(words) > 1:
        return _KINDS.get(joined) if words[0] in {"hold", "held"} else None
    return _KINDS.get(joined) or _KINDS.get(re.sub(f"^{_AROUND}|{_AROUND}$", "", joined))


def assigned_parts(names: Iterable[str]) -> dict[str, str]:
    """Part to folder, for the folders that divide a dataset; {} where none trains or none tests.

    Without a test folder the one called validation tests: what is reported must not be what was selected by. Of several for
    one part the plainest name is taken (``val`` before ``dev``).
    """
    order = list(_KINDS)

    def rank(name: str) -> tuple[int, str]:
        folded = name.casefold()
        return (order.index(folded) if folded in order else len(order), name)

    by_kind: dict[str, list[str]] = {}
    for name in sorted(names, key=rank):
        by_kind.setdefault(kind_of_part(name) or "", []).append(name)
    train, validation = by_kind.get(TRAIN, []), by_kind.get(VALIDATION, [])
    test, either = by_kind.get(TEST, []), by_kind.get(EITHER, [])
    tests = [*test, *reversed(either), *validation]
    if not train or not tests:
        return {}
    validations = [name for name in (*validation, *either) if name != tests[0]]
    return {TRAIN: train[0], **({VALIDATION: validations[0]} if validations else {}), TEST: tests[0]}
