"""extract: features from a backbone of every image that a study uses, each computed once, whatever was added or stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.context import Context
from jobs.runtime import step_main
from tlbatch import nouns

if TYPE_CHECKING:
    from jobs.models.network import Backbone
    from tlbatch.contracts.models import ExtractParams

DENSE = 512  # what a dense head commonly begins with


def params_of(context: Context) -> ExtractParams:
    from tlbatch.contracts.models import ExtractParams

    return context.read_params(ExtractParams)


def run(context: Context) -> None:
    """Features for all images that are asked for; as one of several shards, for its own, and the rest if all are there."""
    from jobs.data.index import load_index
    from jobs.data.pins import pins_of
    from jobs.extraction.requested_rows import wanted_rows
    from jobs.extraction.rows import Extraction, extract_rows
    from tlbatch.plugins import check_used

    params = params_of(context)
    check_used(params.plugins)
    kind = params.input.get("kind")
    wanted = wanted_rows(load_index(context.input("dataset")), params.views, pins_of(context), kind, params.divided)
    asked = Extraction(
        wanted=wanted,
        known=known_of(context, images=sum(row.view is None for row in wanted)),
        input=params.input,
        precision=params.precision,
        augmentation=params.views.augmentation if params.views else None,
        open=lambda: _open(context),
        describe=_described,
        described=("dim", "layer", "shape"),
    )
    extract_rows(context, asked)


def known_of(context: Context, images: int) -> dict[str, Any]:
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
        "images": images,
        "views": params.views.count if params.views else 0,
        "augmentation": params.views.augmentation if params.views else None,
    }


def _open(context: Context) -> Backbone:
    from jobs.extraction.extractor import open_backbone

    backbone = open_backbone(context)
    warn_of_width(backbone)
    return backbone


def _described(backbone: Backbone) -> dict[str, Any]:
    return {"dim": backbone.dim, "layer": backbone.layer.name, "shape": list(backbone.shape.values)}


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


if __name__ == "__main__":
    step_main("extract", run)
