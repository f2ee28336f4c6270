"""probe: training and validation images through every layer of a backbone at once, for advice.

Parameters: ``tlbatch.contracts.advice.ProbeParams``; inputs ``dataset``, and of a study with a schedule ``pinned``. Test images
are neither decoded nor named: of the dataset, ``advise`` gets what this step writes, and nothing else. One forward pass an
image gives all layers; ``made.forward_passes`` counts them.

Files
-----
``features/<hex digit>.safetensors``  a row an image: each layer's output averaged over places, one after the other, then the
                                      logits of the network's own classifier, where the weights have one (float32)
``features.json``                     which values of a row are which layer's (``layers``: name, stage, start, dim, last)
``items.json``                        [{id, label, unit, part}] of the images, sorted by id and path: ``unit`` is alike for
                                      copies and images of a group; and ``whole``: how many images the dataset has
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.context import Context
from jobs.runtime import step_main

if TYPE_CHECKING:
    from jobs.models.layered import LayeredNetwork


def run(context: Context) -> None:
    """Rows of all chosen images; as one of several shards, of its own, and the rest if all are there."""
    from jobs.advice.items import ITEMS, chosen_items, items_document
    from jobs.data.index import load_index
    from jobs.data.pins import pins_of
    from jobs.extraction.requested_rows import wanted_rows
    from jobs.extraction.rows import Extraction, extract_rows
    from tlbatch.contracts.advice import ProbeParams
    from tlbatch.plugins import check_used

    params = context.read_params(ProbeParams)
    check_used(params.plugins)
    index = load_index(context.input("dataset"))
    chosen = chosen_items(index, params, pins_of(context))
    wanted = wanted_rows([entry for entry, _, _ in chosen], None, None, params.input.get("kind"))
    source = context.task.inputs.get("source")
    known = {
        "backbone": params.backbone.as_json(),
        "pool": "avg",
        "input": params.input,
        "precision": params.precision,
        "asked_layer": params.layers,
        "source": source.digest if source else None,
        "images": len(wanted),
        "views": 0,
        "augmentation": None,
    }
    context.write_json(ITEMS, items_document(chosen, whole=len({entry.id for entry in index})))
    asked = Extraction(
        wanted=wanted,
        known=known,
        input=params.input,
        precision=params.precision,
        augmentation=None,
        open=lambda: open_layered(context, params),
        describe=lambda network: network.describe(),
        described=("dim", "layer", "layers"),
    )
    extract_rows(context, asked)


def open_layered(context: Context, params: Any) -> LayeredNetwork:
    """The backbone with all its layers, in float32, BatchNorms folded where that changes nothing."""
    from jobs.extraction.extractor import fold
    from jobs.models.layered import build_layered
    from jobs.models.pretrained import load_pretrained

    backbone = params.backbone.as_json()
    pretrained = load_pretrained(context, backbone)
    return fold(lambda: build_layered(backbone, params.input, pretrained))


if __name__ == "__main__":
    step_main("probe", run)
