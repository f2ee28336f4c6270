"""A comparison of executions as text, CSV and Markdown, from the JSON that ``jobs.compare`` prints. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tlbatch import nouns
from tlbatch.display.text import text_table
from tlbatch.markdown import markdown, markdown_table
from tlbatch.spreadsheet import csv_text

MOST_LISTED = 40
SIGNS = {"added": "+", "removed": "-", "relabelled": "~", "replaced": "!", "moved": ">"}


@dataclass(frozen=True)
class Block:
    """A heading with a table or lines below. ``left``: columns aligned to the left."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    left: tuple[int, ...] = (0,)
    lines: tuple[str, ...] = ()


def as_text(document: dict[str, Any], width: int | None = None) -> str:
    """For the terminal: no table is wider than ``width`` (None: no bound)."""
    legend, *blocks = _blocks(document)
    parts = ["\n".join(text_table(list(legend.columns), [list(row) for row in legend.rows], legend.left, width))]
    parts += document.get("sentences", [])
    for block in blocks:
        table = text_table(list(block.columns), [list(row) for row in block.rows], block.left, width)
        parts.append("\n".join([block.title, "", *table, *block.lines]))
    return "\n\n".join(parts) + "\n"


def as_markdown(document: dict[str, Any]) -> str:
    legend, *blocks = _blocks(document)
    parts = ["# " + " and ".join(markdown(str(side["execution"])) for side in document["executions"])]
    parts.append("\n".join(markdown_table(legend.columns, legend.rows, legend.left)))
    parts.append("\n".join(f"- {markdown(sentence)}" for sentence in document.get("sentences", [])))
    for block in blocks:
        table = markdown_table(block.columns, block.rows, block.left) if block.columns else []
        lines = [f"- {markdown(line)}" for line in block.lines]
        parts.append("\n".join([f"## {markdown(block.title)}", "", *table, *lines]))
    return "\n\n".join(part for part in parts if part) + "\n"


def as_csv(document: dict[str, Any], table: str) -> str:
    """``table``: metrics, tests, study or images, with every value and every image."""
    makers = {"metrics": _metric_lines, "tests": _test_lines, "study": _field_lines, "images": _image_lines}
    return csv_text(*makers[table](document))


# -- blocks --------------------------------------------------------------------------------------------------------------


def _blocks(document: dict[str, Any]) -> list[Block]:
    """The legend first."""
    table = document["table"]
    rows = tuple(tuple(str(cell) for cell in row) for row in table["rows"])
    blocks = [_legend(document), Block("Metrics, with 95 % intervals", tuple(table["columns"]), rows), _tests(document)]
    for change in document["changes"]:
        blocks += [block for block in (_study(change), _versions(change), _images(change)) if block]
    return blocks


def _legend(document: dict[str, Any]) -> Block:
    rows = tuple(
        (
            str(side["letter"]),
            str(side["execution"]),
            str(side["study"]),
            time.strftime("%Y-%m-%d %H:%M", time.gmtime(side["ended"])),
            f"{side['images']:,}",
            str(side["best_run"] or "–"),
        )
        for side in document["executions"]
    )
    return Block("", ("", "execution", "study", "ended (UTC)", nouns.items(), "best run"), rows, (0, 1, 2, 3, 5))


def _tests(document: dict[str, Any]) -> Block:
    rows, lines = [], []
    for pair in document["pairs"]:
        if pair.get("verdict") is None:
            lines.append(str(pair["sentence"]))
            continue
        d = pair["accuracy"]
        adjusted = pair["p_adjusted"]
        rows.append(
            (
                pair["a"],
                pair["b"],
                pair["verdict"],
                _points(d["value"]),
                f"{_points(d['low'])} to {_points(d['high'])}",
                "< 0.001" if adjusted < 0.001 else f"{adjusted:.3f}",
                f"{d['images']:,}" + (f" in {d['groups']:,} groups" if d["groups"] != d["images"] else ""),
                f"{_points(d['smallest']).lstrip('+')}",
            )
        )
    columns = ("run", "against", "verdict", "points", "95 % interval", "p (Holm)", nouns.items(), "smallest")
    return Block(
        f"Paired tests on the test {nouns.items()} in both", columns if rows else (), tuple(rows), (0, 1, 2), tuple(lines)
    )


def _study(change: dict[str, Any]) -> Block | None:
    rows = tuple(
        (field["path"], field["before"], field["after"], "no" if field["neutral"] else "") for field in change["study"]
    )
    if not rows:
        return None
    columns = ("field", str(change["from"]), str(change["to"]), "changes results")
    return Block(f"Studies: from {change['from']} to {change['to']}", columns, rows, (0, 1, 2, 3))


def _versions(change: dict[str, Any]) -> Block | None:
    rows = tuple((name, before, after) for name, (before, after) in change["versions"].items())
    if not rows:
        return None
    title = f"Software and devices: from {change['from']} to {change['to']}"
    return Block(title, ("", str(change["from"]), str(change["to"])), rows, (0, 1, 2))


def _images(change: dict[str, Any]) -> Block | None:
    lines: list[str] = []
    for kind in SIGNS:
        found = change["images"].get(kind, [])
        lines += [f"{SIGNS[kind]} {_image(kind, image)}" for image in found[:MOST_LISTED]]
        if len(found) > MOST_LISTED:
            lines.append(f"  and {len(found) - MOST_LISTED:,} more {kind}: -o json, or -o csv --table images, names all")
    if not lines:
        return None
    return Block(f"{nouns.items().capitalize()}: from {change['from']} to {change['to']}", lines=tuple(lines))


def _image(kind: str, image: dict[str, Any]) -> str:
    before, after = image["before"], image["after"]
    why = f": {image['why']}" if image.get("why") else ""
    if kind == "added":
        return f"{image['path']}  added as {after['label']}, {after['part'] or 'in no part'}"
    if kind == "removed":
        return f"{image['path']}  removed, was {before['label']}, {before['part'] or 'in no part'}{why}"
    where = f"  (was {before['path']})" if before["path"] != after["path"] else ""
    if kind == "relabelled":
        return f"{image['path']}  relabelled from {before['label']} to {after['label']}, {_parts(before, after)}{where}"
    return f"{image['path']}  {kind}, {after['label']}, {_parts(before, after)}{where}"


def _parts(before: dict[str, Any], after: dict[str, Any]) -> str:
    old, new = before["part"] or "in no part", after["part"] or "in no part"
    return old if old == new else f"{old}, now {new}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}".replace("-", "\u2212") if round(100 * fraction, 1) else "0.0"


# -- CSV -----------------------------------------------------------------------------------------------------------------

Lines = tuple[Sequence[str], list[Sequence[Any]]]


def _metric_lines(document: dict[str, Any]) -> Lines:
    rows: list[Sequence[Any]] = [
        [side["letter"], side["execution"], side["study"], run["name"], run["role"], name]
        + [found.get(key) for key in ("value", "low", "high", "sd")]
        for side in document["executions"]
        for run in side["runs"]
        for name, found in run["metrics"].items()
    ]
    return ("letter", "execution", "study", "run", "role", "metric", "value", "low", "high", "sd"), rows


def _test_lines(document: dict[str, Any]) -> Lines:
    rows: list[Sequence[Any]] = []
    for pair in document["pairs"]:
        d, f1 = pair.get("accuracy") or {}, pair.get("macro_f1") or {}
        numbers = [d.get(key) for key in ("value", "low", "high", "p")] + [pair.get("p_adjusted"), d.get("smallest")]
        images = [pair["common_images"], pair["only_a"], pair["only_b"], pair["relabelled"]]
        images += [d.get("groups"), d.get("low_adjusted"), d.get("high_adjusted")]
        rows.append([pair["a"], pair["b"], pair["verdict"], *numbers, *(f1.get(k) for k in ("value", "low", "high")), *images])
    heads = "a b verdict difference low high p p_adjusted smallest f1 f1_low f1_high common_images only_a only_b relabelled"
    heads += " units low_adjusted high_adjusted"
    return heads.split(), rows


def _field_lines(document: dict[str, Any]) -> Lines:
    rows: list[Sequence[Any]] = [
        [change["from"], change["to"], field["path"], field["before"], field["after"], not field["neutral"]]
        for change in document["changes"]
        for field in change["study"]
    ]
    return ("from", "to", "field", "before", "after", "changes_results"), rows


def _image_lines(document: dict[str, Any]) -> Lines:
    rows = [line for change in document["changes"] for line in _images_of(change)]
    ends = [f"{name}_{end}" for name in ("path", "label", "part", "id") for end in ("before", "after")]
    return ("from", "to", "change", *ends, "why"), rows


def _images_of(change: dict[str, Any]) -> Iterator[Sequence[Any]]:
    for kind, found in change["images"].items():
        for image in found:
            before, after = image["before"] or {}, image["after"] or {}
            ends = [entry.get(name) for name in ("path", "label", "part", "id") for entry in (before, after)]
            yield [change["from"], change["to"], kind, *ends, image.get("why", "")]
