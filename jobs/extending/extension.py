"""The step from top to bottom: features of the new class and of validation items, the head with a class more, what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from safetensors.torch import save_file

from jobs.context import Context
from jobs.data.index import IndexEntry
from jobs.data.split import Split
from jobs.extending.added import ADDED, Added, check_apart, divide, load_added, trained_copies
from jobs.extending.heads import ExtendableHead, Features, is_imprinted
from jobs.extraction.computing import StoredItems, compute_rows
from jobs.extraction.extractor import Extractor, fold
from jobs.extraction.requested_rows import Wanted
from jobs.models.reading import read_state
from jobs.models.trained import load_trained
from jobs.training.computing import choose_device
from jobs.training.outputs import DECIMALS, unshared
from tlbatch import nouns
from tlbatch.contracts.models import ExtendParams
from tlbatch.roles import DATASET

BASE = "base"
KNOWN = 200
"""Items of the known classes that a new one is held against, at least, where there are so many: validation items first."""


def extend(context: Context, params: ExtendParams) -> None:
    added, split, base = load_added(context), divide(context, params), context.input(BASE)
    check_apart(context, added, split)
    card, state = base.read_json("card.json"), dict(read_state(base.path("model.safetensors")))
    said = base.read_json("validation.json")
    validation, others = _known(said, split, KNOWN if is_imprinted(card) else 0)
    features, dim = _features(context, params, card, {ADDED: added.entries, DATASET: (*validation, *others)})
    head = ExtendableHead.of(card, state, dim)
    known = features[DATASET]
    extended = head.with_class(features[ADDED], known)
    left_out = head.left_out(features[ADDED], known, added.units)
    state |= {f"head.{name}": tensor for name, tensor in extended.state.items()}
    save_file(unshared({name: tensor.contiguous() for name, tensor in state.items()}), context.out("model.safetensors"))
    context.write_json("card.json", _card(context, params, card, added, extended))
    context.write_json("validation.json", _validation(said, validation, extended.logits(known[: len(validation)])))
    context.write_json("added.json", {**_added(added, left_out), "copies": trained_copies(context, added, split)})
    print(f"{params.label}: {extended.how}, from {nouns.count(added.count)}", flush=True)


def _known(said: Mapping[str, Any], split: Split, most: int) -> tuple[list[IndexEntry], list[IndexEntry]]:
    """The base's validation items that are there, in its order, and of those that it trained on what is missing to ``most``."""
    there = {entry.id: entry for entry in (*split.train, *split.validation)}
    validation = [there[id_] for id_ in dict.fromkeys(said["ids"]) if id_ in there]
    taken = {entry.id for entry in validation}
    others = [entry for id_, entry in sorted({e.id: e for e in split.train}.items()) if id_ not in taken]
    return validation, others[: max(0, most - len(validation))]


def _features(
    context: Context, params: ExtendParams, card: Mapping[str, Any], wanted: Mapping[str, Sequence[IndexEntry]]
) -> tuple[dict[str, Features], int]:
    """[n, d] of the items of each input, as ``extract`` computes them, and d."""
    device = choose_device(context.threads)
    context.made["device"] = str(device)
    backbone = fold(lambda: load_trained(context, context.input(BASE)).backbone)
    dim = int(backbone.dim)
    extractor = Extractor(lambda: backbone, card["input"], params.precision, device, context.threads)
    done, total = 0, sum(len(entries) for entries in wanted.values())
    found = {}
    for role, entries in wanted.items():
        rows = [np.zeros((0, dim), np.float32)]
        items = StoredItems(context.input(role), [Wanted(entry) for entry in entries], card["input"])
        for batch, features in compute_rows(extractor, items, context.threads):
            context.check_stop()
            rows.append(features)
            done += len(batch)
            context.progress(done, total, nouns.items(), params.label)
        found[role] = np.concatenate(rows)
    context.made |= {"forward_passes": total, "engine": extractor.engine}
    return found, dim


def _card(
    context: Context, params: ExtendParams, card: Mapping[str, Any], added: Added, head: ExtendableHead
) -> dict[str, Any]:
    """Tables of layers and parameters stay those of the training."""
    told = {"class": params.label, "images": len(added.entries), "units": added.count, "by": head.how}
    extended = [*card.get("extended", []), {**told, "base": asdict(context.task.inputs[BASE])}]
    return {**card, "classes": [*card["classes"], params.label], "extended": extended}


def _validation(said: Mapping[str, Any], entries: Sequence[IndexEntry], logits: Any) -> dict[str, Any]:
    """Labels are places among the classes, and the new one is the last: they stay."""
    labels = dict(zip(said["ids"], said["labels"], strict=True))
    return {
        "ids": [entry.id for entry in entries],
        "labels": [labels[entry.id] for entry in entries],
        "logits": np.round(logits, DECIMALS).tolist(),
        **({"of": said["of"]} if "of" in said else {}),
    }


def _added(added: Added, left_out: Any) -> dict[str, Any]:
    return {
        "ids": [entry.id for entry in added.entries],
        "paths": [entry.path for entry in added.entries],
        "units": added.units,
        "logits": None if left_out is None else np.round(left_out, DECIMALS).tolist(),
    }
