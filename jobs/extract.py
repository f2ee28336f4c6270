"""extract: features of every image from a backbone, each computed once, whatever was added, stopped or sharded."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from jobs.context import Context
from jobs.runtime import step_main
from tlbatch import nouns
from tlbatch.errors import DeadlineError, Stopped
from tlbatch.store.artifacts import load_manifest

if TYPE_CHECKING:
    from jobs.extraction.cached_rows import Known, Older, Parts
    from jobs.extraction.requested_rows import Wanted
    from jobs.models.network import Backbone
    from tlbatch.contracts.models import ExtractParams

SAVE_EVERY_S = 30.0
DENSE = 512  # what a dense head commonly begins with


def params_of(context: Context) -> ExtractParams:
    from tlbatch.contracts.models import ExtractParams

    return context.read_params(ExtractParams)


def run(context: Context) -> None:
    """Features for all images of the dataset; as one of several shards, for its own, and the rest if all are there."""
    from jobs.data.index import load_index
    from jobs.data.pins import pins_of
    from jobs.extraction.cached_rows import Known, Older, Parts
    from jobs.extraction.requested_rows import wanted_rows
    from tlbatch.plugins import check_used

    params = params_of(context)
    check_used(params.plugins)
    kind = params.input.get("kind")
    wanted = wanted_rows(load_index(context.input("dataset")), params.views, pins_of(context), kind)
    known, description = Known(), describe(context, wanted)
    older, parts = Older(context, description), Parts(context)
    older.add_to(known, {row.entry.id: row.note for row in wanted})
    fresh = [row for row in wanted if row.name not in known]
    print(f"{len(wanted) - len(fresh)} of {len(wanted)} rows of features are known from earlier extractions", flush=True)
    if fresh or older.description is None:
        description |= compute(context, fresh, known, parts)
    else:
        description |= {name: older.description[name] for name in ("dim", "layer", "shape")}
    if any(row.name not in known for row in wanted):
        print("other shards are not done yet: whoever finishes last puts the features together", flush=True)
        context.defer_commit()
        return
    context.made["forward_passes"] = len(fresh)
    try:
        put_together(context, wanted, known, older, description)
    except FileNotFoundError:  # who commits deletes the parts
        if load_manifest(context.store, context.task.step, context.task.key) is None:
            raise
        context.defer_commit()


def describe(context: Context, wanted: list[Wanted]) -> dict[str, Any]:
    """What is known of ``features.json`` before there is a network."""
    params = params_of(context)
    source = context.task.inputs.get("source")
    return {
        "backbone": params.backbone.as_json(),
        "pool": params.pool,
        "input": params.input,
        "precision": params.precision,
        "asked_layer": params.layer,
        "source": source.digest if source else None,
        "images": sum(row.view is None for row in wanted),
        "views": params.views.count if params.views else 0,
        "augmentation": params.views.augmentation if params.views else None,
    }


def compute(context: Context, fresh: list[Wanted], known: Known, parts: Parts) -> dict[str, Any]:
    """Make known what this shard has to compute and what other attempts and shards have; returns dim, layer, shape."""
    from jobs.extraction.extractor import open_backbone
    from jobs.training.computing import choose_device

    device = choose_device(context.threads)
    context.made["device"] = device_name(device)
    backbone = open_backbone(context)
    warn_of_width(backbone)
    parts.add_to(known, backbone.dim)
    index, count = context.shard or (0, 1)
    own = [row for row in fresh if row.name not in known and row.shard(count) == index]
    if own:
        compute_own(context, own, backbone, device, known, parts)
    if count > 1:
        parts.add_to(known, backbone.dim)
    return {"dim": backbone.dim, "layer": backbone.layer.name, "shape": list(backbone.shape.values)}


def compute_own(context: Context, own: list[Wanted], backbone: Backbone, device: Any, known: Known, parts: Parts) -> None:
    """Compute rows, the finished ones stored twice a minute, when asked to stop and, for a shard of several, at the end."""
    from jobs.data.row_store import Spool
    from jobs.extraction.computing import compute_rows
    from jobs.extraction.extractor import Extractor

    params = params_of(context)
    augmentation = params.views.augmentation if params.views else None
    extractor = Extractor(backbone, params.input, params.precision, device)
    spool = Spool(context.scratch / "rows.float32", backbone.dim)
    started = saved = time.monotonic()
    computing = compute_rows(extractor, context.input("dataset"), own, params.input, augmentation, context.threads)
    with closing(computing) as batches:
        try:
            for batch, features in batches:
                for row, values in zip(batch, features, strict=True):
                    spool.append(row.name, values)
                if time.monotonic() - saved > SAVE_EVERY_S:
                    parts.save(spool)
                    saved = time.monotonic()
                context.progress(len(spool.names), len(own), nouns.items())
                context.check_stop()
        except (Stopped, DeadlineError):
            parts.save(spool)
            raise
    context.made["images_per_s"] = round(len(own) / (time.monotonic() - started), 2)
    if context.shard:
        parts.save(spool)
    known.add(spool)


def warn_of_width(backbone: Backbone) -> None:
    """Say so where a head on a flattened map would dwarf the backbone."""
    weights = sum(parameter.numel() for parameter in backbone.parameters())
    if backbone.pool == "flatten" and backbone.shape.kind != "vector" and backbone.dim * DENSE > weights:
        print(
            f"warning: layer {backbone.layer.name} flattened is {backbone.dim:,} values {nouns.an_item()}: a dense "
            f"layer of {DENSE} on "
            f"it has {backbone.dim * DENSE / 1e6:.0f} million weights, the backbone {weights / 1e6:.1f}; consider pool: avg",
            flush=True,
        )


def put_together(context: Context, wanted: list[Wanted], known: Known, older: Older, description: dict[str, Any]) -> None:
    """The artifact's files: an earlier one where it holds just the same rows, else a new one."""
    from jobs.data.features import DESCRIPTION, FEATURES, VIEWS, groups
    from jobs.data.row_store import row_name, write_rows

    dim, count = description["dim"], description["views"]
    viewed = [row.entry.id for row in wanted if row.view == 0]
    note = {row.entry.id: row.note for row in wanted}
    for kind, ids, numbers in (
        (FEATURES, [row.entry.id for row in wanted if row.view is None], [None]),
        (VIEWS, viewed, list(range(count))),
    ):
        for name, group in groups(kind, ids).items():
            shape = (len(group), dim) if kind == FEATURES else (len(group), count, dim)
            notes = [note[image_id] for image_id in group]
            entry = older.same(name, shape, group, notes)
            if entry is not None:
                context.reuse(name, entry)
                continue
            rows = known.read(row_name(image_id, number) for image_id in group for number in numbers)
            write_rows(context.out(name), kind, shape, group, rows, notes)
    context.write_json(DESCRIPTION, description)


def device_name(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    step_main("extract", run)
