"""Which items of a source the target has too, as ``overlap`` leaves it, and which of them may therefore train nothing. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jobs.data.groups import group_copies
from jobs.data.items import Likeness
from tlbatch.roles import SOURCE, TARGET

OVERLAP_FILE = "overlap.json"


def overlap_document(found: Sequence[Likeness], ids: Mapping[str, Collection[str]], method: str) -> dict[str, Any]:
    """``overlap.json``. ``found``: near copies among the items of both, ``ids``: the content ids of each."""
    named = group_copies(found)
    members: dict[str, set[str]] = defaultdict(set)
    for name, group in named.items():
        members[group].add(name)
    same = [{name} for name in ids.get(TARGET, ()) if name in ids.get(SOURCE, ()) and name not in named]
    groups = [{role: sorted(group & set(ids[role])) for role in (TARGET, SOURCE)} for group in (*members.values(), *same)]
    pairs = []
    for pair in found:
        for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
            if one in ids[TARGET] and other in ids[SOURCE]:
                pairs.append({TARGET: one, SOURCE: other, "kind": pair.kind, "score": pair.score})
                break
    return {
        "groups": sorted((group for group in groups if all(group.values())), key=lambda group: group[TARGET]),
        "pairs": pairs,
        "method": method,
    }


def held_back_of(document: Mapping[str, Any], held_back: Collection[str]) -> set[str]:
    """Content ids of the source's items that are, or are near copies of, items that the target ``held_back``."""
    groups = [group for group in document["groups"] if not set(group[TARGET]).isdisjoint(held_back)]
    return {name for group in groups for name in group[SOURCE]}
