"""``tlbatch backbones`` and ``tlbatch weights``: which pretrained networks there are, and where their weights come from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tlbatch.commands.options import kept_store_option, output_option, print_json
from tlbatch.output import terminal_width

if TYPE_CHECKING:
    from tlbatch.backbones.catalogue import BackboneInfo, OtherInfo
    from tlbatch.store import Store


@click.command()
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Every model of torchvision and timm, and CLIP networks, too.")
@click.option("--size", type=click.IntRange(8), default=None, help="Input size for the feature sizes.  [default: its own]")
@kept_store_option
@output_option
def backbones(name: str | None, everything: bool, size: int | None, store: str, output: str) -> None:
    """List pretrained networks; with NAME, its stages, layers, feature sizes, input, parameters and weights.

    \b
    tlbatch backbones
    tlbatch backbones vgg16 --size 150
    """
    from tlbatch.backbones.catalogue import backbones as catalogue
    from tlbatch.backbones.catalogue import known_names
    from tlbatch.store import open_store

    if name is not None:
        _show(name, size, open_store(store), output)
        return
    added = _added()
    if output == "json":
        own = list(known_names()) if everything else [_facts(info) for info in catalogue().values()]
        print_json([*own, *([info.name for info in added] if everything else map(_facts, added))])
        return
    _list([*catalogue().values(), *added])
    if everything:
        click.echo("\n" + "\n".join(other for other in known_names() if other not in catalogue()))
    else:
        click.echo(f"\nand {len(known_names()) - len(catalogue())} more of torchvision, timm and open_clip, by name (--all)")


def _added() -> list[BackboneInfo | OtherInfo]:
    """Those of plug-ins; what is wrong with a plug-in is said and does not stop the list."""
    from tlbatch.errors import TlbatchError
    from tlbatch.plugins import find, installed

    found = []
    for each in installed().values():
        try:
            found += [find("backbones", f"{each.name}:{entry.name}").info for entry in each.load().backbones]
        except TlbatchError as error:
            click.echo(str(error), err=True)
    return found


def _list(infos: list[BackboneInfo | OtherInfo]) -> None:
    from tlbatch.display.text import text_table

    rows = [_row(info) for info in infos]
    columns = ["backbone", "from", "parameters", "input", "features", "stages"]
    click.echo("\n".join(text_table(columns, rows, left=(0, 1, 5), width=terminal_width())))


def _row(info: BackboneInfo | OtherInfo) -> list[str]:
    from tlbatch.backbones.catalogue import OtherInfo

    if not isinstance(info, OtherInfo):
        return [info.name, info.library, f"{info.parameters:,}", str(info.input["size"]), _features(info), _stages(info)]
    return [info.name, info.library, "?", str(info.input["size"]), "?", "found when it is built"]


def _features(info: BackboneInfo) -> str:
    shape = info.feature_shape(None, info.input["size"])
    return f"{shape[0]:,}" if shape else "?"


def _stages(info: BackboneInfo) -> str:
    return ", ".join(stage.name for stage in info.stages if stage.name not in info.extra)


def _facts(info: BackboneInfo | OtherInfo) -> dict[str, Any]:
    from tlbatch.backbones.catalogue import OtherInfo

    if isinstance(info, OtherInfo):
        weights = [weight.name for weight in info.weights]
        return {"name": info.name, "library": info.library, "input": dict(info.input), "weights": weights}
    return {"name": info.name, "library": info.library, "parameters": info.parameters, "input": dict(info.input)} | {
        "stages": [stage.name for stage in info.stages],
        "default_layer": info.default,
        "weights": [weight.name for weight in info.weights],
    }


def _show(name: str, size: int | None, store: Store, output: str) -> None:
    from tlbatch.backbones.catalogue import described, other
    from tlbatch.backbones.names import backbone_hint
    from tlbatch.errors import StudyError
    from tlbatch.planning.weights import places

    info = described(name)
    rest = other(name) if info is None else None
    if info is None and rest is None:
        raise StudyError(f"unknown backbone {name!r}{backbone_hint(name)}; `tlbatch backbones --all` lists them")
    found = places(name, store)
    if output == "json":
        document: dict[str, Any] = _layers_document(info, size) if info else {"name": name, "stages": "found when it is built"}
        print_json(document | {"weights": [{**asdict(weight), "place": asdict(place)} for weight, place in found]})
        return
    if info is not None:
        _show_layers(info, size or int(info.input["size"]))
    elif rest is not None:
        click.echo(f"{name} (from {rest.library}): stages and layers are found when it is built; input {dict(rest.input)}")
    for weight, place in found:
        trained = f", trained on {weight.trained_on}" if weight.trained_on else ""
        click.echo(f"weights {weight.name}{trained}: {place.kind}, {place.where}")
    if not found:
        click.echo("no published weights: name a file in weights, or weights: random")


def _layers_document(info: BackboneInfo, size: int | None) -> dict[str, Any]:
    side = size or int(info.input["size"])
    layers = [{"name": layer.name, "stage": layer.stage, "shape": layer.shape(side)} for layer in info.layers]
    return _facts(info) | {"size": side, "layers": layers, "stages": [asdict(stage) for stage in info.stages]}


def _show_layers(info: BackboneInfo, size: int) -> None:
    from tlbatch.backbones.clip import text_tower
    from tlbatch.display.text import text_table

    fed = info.input
    click.echo(f"{info.name} (from {info.library}): {info.parameters:,} parameters")
    if (tower := text_tower(info.name)) is not None:
        reads = f"texts of up to {tower.context} tokens" if not tower.tokenizer else f"no texts here (needs {tower.tokenizer})"
        click.echo(f"the image tower; beside it {tower.parameters:,} parameters of a text tower, which reads {reads}")
    click.echo(
        f"fed with {fed['size']} pixels, {fed['resize']}, {fed['interpolation']}, mean {fed['mean']}, std {fed['std']}\n"
    )
    parameters = {stage.name: stage.parameters for stage in info.stages}
    rows, before = [], ""
    for layer in info.layers:
        first = layer.stage != before
        shape = layer.shape(size)
        flat = f"{_product(shape):,}" if shape else "too small"
        sides = "x".join(str(side) for side in shape or ())
        mark = " (default)" if layer.name == info.default else ""
        count = f"{parameters[layer.stage]:,}" if first else ""
        rows.append([layer.stage if first else "", f"{layer.name}{mark}", sides, flat, count])
        before = layer.stage
    columns = ["stage", "layer", f"output at {size}", "flattened", "parameters"]
    click.echo("\n".join(text_table(columns, rows, left=(0, 1), width=terminal_width())) + "\n")


def _product(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


@click.group()
def weights() -> None:
    """Pretrained weights in a store, for machines and clusters that reach no network."""


@weights.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@kept_store_option
@output_option
def mirror(names: tuple[str, ...], store: str, output: str) -> None:
    """Copy the weights of backbones into the store's weights/, their hashes checked. NAME:WEIGHTS for others than the default.

    \b
    tlbatch weights mirror efficientnet_lite0 --store s3://bucket/prefix
    tlbatch weights mirror mobilenet_v2:IMAGENET1K_V1 vgg16
    """
    from tlbatch.planning.weights import mirror as mirror_weights
    from tlbatch.store import open_store
    from tlbatch.store.layout import check_format

    opened = open_store(store)
    check_format(opened)
    done = mirror_weights(opened, names)
    if output == "json":
        print_json([asdict(entry) for entry in done])
        return
    for entry in done:
        click.echo(
            f"{entry.backbone} {entry.weights}: {entry.name} {'copied' if entry.copied else 'was there'} ({entry.size:,} bytes)"
        )
