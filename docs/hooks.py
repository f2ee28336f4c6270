"""The generated parts of the manual: a study's fields from its JSON Schema, the commands from Click's tree.

mkdocs calls ``on_config`` and ``on_page_markdown`` (mkdocs.yml). ``<!-- generated: NAME -->`` in a page is replaced.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from tlbatch.cli import COMMANDS, cli
from tlbatch.spec import json_schema

Schema = dict[str, Any]
LATER = ("faults.md",)
"""Pages that a command writes (`make chaos`); without them the manual has no entry for them."""
EXAMPLES = {r"(s|m|h|d)$": "duration such as `90s`, `2h`", r"(m|k|Ki|M|Mi|G|Gi|T|Ti)?$": "quantity such as `500m`, `8Gi`"}


# -- a study ----------------------------------------------------------------------------------------------------------


def study_reference() -> str:
    """Markdown: a section for each part of a study, a table of its fields."""
    schema = json_schema()
    return "\n".join(_part(name, part, schema) for name, part in _parts(schema))


def _parts(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Study first, then what it is made of, in the order of its fields. Wrappers of one part stand where they are used."""
    waiting, seen = [("Study", schema)], {"Study"}
    while waiting:
        name, part = waiting.pop(0)
        if not _wrapped(part):
            yield name, part
        for found in re.findall(r'"#/\$defs/(\w+)"', json.dumps(part.get("properties", {}))):
            if found not in seen:
                seen.add(found)
                waiting.append((found, schema["$defs"][found]))


def _wrapped(part: Schema) -> str:
    """``finetune`` of ``{finetune: {…}}``: the only field of a part, which is a part itself; else ""."""
    fields = list(part.get("properties", {}).items())
    return fields[0][0] if len(fields) == 1 and "$ref" in fields[0][1] else ""


def _part(name: str, part: Schema, schema: Schema) -> str:
    lines = [
        f"## {name}",
        "",
        _prose(part.get("description", "")),
        "",
        "| field | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for field, inner in part.get("properties", {}).items():
        cells = [f"`{field}`", type_words(inner, schema), _default(field, inner, part), meaning(inner, schema)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def meaning(field: Schema, schema: Schema) -> str:
    """What a field is for: its own description, else that of the part it holds; "" where nobody wrote one."""
    if "description" in field:
        return _prose(field["description"])
    inner = schema["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else {}
    return _prose(inner.get("description", "")).split(". ")[0].split("\n")[0].rstrip(".")


def _prose(text: str) -> str:
    return text.replace("``", "`").strip()


def type_words(field: Schema, schema: Schema) -> str:
    """A field's type in words, with its bounds; parts are links to their sections."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        part = schema["$defs"][name]
        wrapped = _wrapped(part)
        return f"{{{wrapped}: {type_words(part['properties'][wrapped], schema)}}}" if wrapped else f"[{name}](#{name.lower()})"
    alternatives = field.get("anyOf") or field.get("oneOf")
    if alternatives:
        return " or ".join(type_words(each, schema) for each in alternatives if each.get("type") != "null")
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        items = field.get("items") or field["prefixItems"][0]
        count = f"{len(field['prefixItems'])} of " if "prefixItems" in field else "list of "
        return count + type_words(items, schema)
    if field.get("type") == "object":
        values = next(iter(field.get("patternProperties", {}).values()), field.get("additionalProperties"))
        return "map to " + type_words(values, schema) if isinstance(values, dict) else "map"
    return _scalar(field)


def _scalar(field: Schema) -> str:
    if "pattern" in field:
        return next((words for end, words in EXAMPLES.items() if field["pattern"].endswith(end)), "text")
    signs = {"minimum": "≥ ", "exclusiveMinimum": "> ", "maximum": "≤ ", "exclusiveMaximum": "< "}
    bounds = ", ".join(f"{sign}{field[name]:g}" for name, sign in signs.items() if name in field)
    word = {"string": "text", "integer": "integer", "number": "number", "boolean": "`true`, `false`"}[field["type"]]
    return f"{word} {bounds}".strip()


def _default(name: str, field: Schema, part: Schema) -> str:
    if name in part.get("required", []):
        return "**required**"
    value = field.get("default")
    if value is None or "$ref" in field:
        return "–"
    text = json.dumps(value, ensure_ascii=False)
    return f"`{value or repr(value)}`" if isinstance(value, str) else f"`{text}`"


# -- the commands -----------------------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """``("tlbatch data check", command, its context)`` of every command that people type, groups before their own."""
    context = click.Context(cli, info_name="tlbatch")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield from _with_inner(command, click.Context(command, info_name=name, parent=context))


def _with_inner(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _with_inner(inner, click.Context(inner, info_name=name, parent=context))


def command_reference() -> str:
    """Markdown: a section for each command, with what its ``--help`` says."""
    lines = []
    for path, command, context in commands():
        depth = "##" if path.count(" ") == 1 else "###"
        usage = " ".join([path, *command.collect_usage_pieces(context)])
        lines += [f"{depth} {path}", "", f"`{usage}`", "", _help(command), ""]
        records = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
        records = [record for record in records if record[1] and not record[0].endswith("--help")]
        if records:
            lines += ["| option | meaning |", "|---|---|"]
            lines += [f"| `{_cell(names)}` | {_cell(text)} |" for names, text in records] + [""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _help(command: click.Command) -> str:
    r"""The help text; paragraphs after \b are printed as they are."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(
        f"```text\n{each.removeprefix(chr(8)).strip(chr(10))}\n```" if each.startswith("\b") else _escaped(each)
        for each in paragraphs
    )


def _escaped(text: str) -> str:
    """In one line, with what Markdown would read otherwise kept as it is; code stays code."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.replace("``", "`").split()))
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;").replace("*", "\\*") for part in parts)


# -- mkdocs -----------------------------------------------------------------------------------------------------------

GENERATED: dict[str, Callable[[], str]] = {"study": study_reference, "commands": command_reference}


def on_config(config: Any) -> Any:
    """Take pages that are not written yet out of the navigation."""
    missing = [name for name in LATER if not (Path(config["docs_dir"]) / name).exists()]
    config["nav"] = _without(config["nav"], missing)
    return config


def _without(entries: list[Any], names: list[str]) -> list[Any]:
    kept = [entry for entry in entries if entry not in names]
    return [
        {title: _without(inner, names) if isinstance(inner, list) else inner for title, inner in entry.items()}
        if isinstance(entry, dict)
        else entry
        for entry in kept
    ]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in what is generated."""
    return re.sub(r"<!-- generated: (\w+) -->", lambda found: GENERATED[found[1]](), markdown)
