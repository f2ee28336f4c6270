"""All keys below an S3 prefix as files. Keys that are no path are named with what is wrong, not skipped."""

from __future__ import annotations

from tlbatch.datasets.foldertree import FoundFile, Tree, litter_of
from tlbatch.store import Store
from tlbatch.store.names import is_name


def walk_bucket(place: Store) -> Tree:
    """Everything below a store's root. Empty keys that end in '/' are folders, as consoles mark them."""
    tree = Tree()
    for stat in place.list_all():
        litter = litter_of(stat.name)
        if stat.name.endswith("/") and not stat.size:
            if not litter and is_name(stat.name[:-1]):
                tree.folders.update(_folders(stat.name))
        elif litter and is_name(stat.name):
            tree.litter.add(litter)
        elif is_name(stat.name):
            tree.files.append(FoundFile(stat.name, stat.size, stat.etag))
            tree.folders.update(_folders(stat.name))
        elif stat.name:
            tree.files.append(FoundFile(stat.name, stat.size, problem=_problem(stat.name)))
    return tree


def _folders(name: str) -> list[str]:
    """Every folder that a key lies in: ``a/b/c`` gives ``a`` and ``a/b``."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _problem(name: str) -> str:
    parts = name.split("/")
    what = "ends in '/'" if name.endswith("/") else "has a folder without a name (//)" if "" in parts else "is no path"
    dots = next((part for part in parts if part in {".", ".."}), "")
    return f"its key {f'has the part {dots!r}' if dots else what}; copy it to another key"
