"""The manual as a whole: it builds without a warning, its links lead somewhere, its sentences are the ones that are printed.

Breaks on a dead link or anchor, on a page that asks the network for anything, on a field of a study or an option without a word
about it, and when a sentence that the manual explains is no longer in the code or ends with another code.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from docs.hooks import LATER, command_reference, commands, meaning, study_reference
from tests.docs.pages import FENCE, ROOT, pages
from tlbatch import errors, nouns
from tlbatch.spec import json_schema
from tlbatch.strategies import STRATEGIES

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TABLE = re.compile(r"^\| `(.+?)` \| .* \| .* \|$", flags=re.MULTILINE)


def test_the_manual_builds_without_a_warning_and_asks_the_network_for_nothing(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    run = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    for page in tmp_path.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]+)", html)
        assert fetched == [], page
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_make_docs_is_as_strict() -> None:
    """With --quiet mkdocs counts no warnings, and --strict finds nothing."""
    assert "\t$(BIN)/mkdocs build --strict\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_other_papers_lead_somewhere(name: str) -> None:
    for target in LINK.findall(FENCE.sub("", (ROOT / name).read_text(encoding="utf-8"))):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = ROOT / (path or name)
        assert file.exists(), f"{name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


def test_paths_of_the_project_that_are_named_exist() -> None:
    named = re.compile(r"`((?:tlbatch|jobs|tests|images|k8s|docs|\.ci)/[\w./-]+)`")
    papers = {**pages(), "CONTRIBUTING.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")}
    places = {(page, place) for page, text in papers.items() for place in named.findall(text)}
    assert len(places) > 20
    made = {f"docs/{name}" for name in LATER}
    assert [f"{page}: {place}" for page, place in sorted(places) if place not in made and not (ROOT / place).exists()] == []


def test_every_ready_made_study_is_named() -> None:
    told = pages()["docs/transfer.md"].partition("## Ready-made studies")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([\w-]+\.yaml)`", told)) == {path.name for path in (ROOT / "jobs/specs").glob("*.yaml")}


def test_every_field_of_a_study_has_a_meaning() -> None:
    schema = json_schema()
    parts = {"Study": schema, **schema["$defs"]}
    fields = {f"{n}.{f}": p for n, part in parts.items() for f, p in part.get("properties", {}).items()}
    assert {name for name, field in fields.items() if not meaning(field, schema)} == set()
    reference = study_reference()
    shown = {field for part in parts.values() for field in part.get("properties", {})} - {*STRATEGIES}
    assert [field for field in sorted(shown) if f"| `{field}` |" not in reference] == []


def test_every_command_has_its_section_and_every_option_its_words() -> None:
    reference = command_reference()
    for path, command, context in commands():
        assert re.search(rf"^#+ {path}$", reference, flags=re.MULTILINE)
        options = [param for param in command.params if param.param_type_name == "option"]
        records = [record for option in options if (record := option.get_help_record(context))]
        assert [names for names, text in records if not text] == [], path


def test_sections_of_the_report_are_called_so() -> None:
    templates = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "jobs").rglob("*.html.jinja"))
    templates = re.sub(r"\{\{ nouns\.(\w+)\(\) \}\}", lambda noun: str(getattr(nouns, noun[1])()), templates)
    told = pages()["docs/reports.md"].partition("## What is on the page")[2].partition("\n## ")[0]
    names = re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", told)
    assert len(names) > 10
    assert [name for name in names if not re.search(rf"<h[1-4][^>]*>{re.escape(name)}", templates)] == []


# -- sentences --------------------------------------------------------------------------------------------------------


@cache
def modules() -> tuple[tuple[ast.AST, ...], ...]:
    """The nodes of each module."""
    paths = [path for package in ("tlbatch", "jobs") for path in sorted((ROOT / package).rglob("*.py"))]
    return tuple(tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8")))) for path in paths)


@cache
def codes() -> dict[str, int]:
    """Name of each error class -> what the process ends with."""
    classes = [node for nodes in modules() for node in nodes if isinstance(node, ast.ClassDef)]
    kinds = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    known: dict[str, int] = {name: kind.exit_code for name, kind in kinds.items() if hasattr(kind, "exit_code")}
    for _ in range(4):  # as deep as errors derive from each other
        for each in classes:
            for base in each.bases:
                if isinstance(base, ast.Name) and base.id in known:
                    known.setdefault(each.name, known[base.id])
    return known


@cache
def texts() -> tuple[tuple[str, int | None], ...]:
    """Every text of the code, `…` where something is filled in, and the exit code of the error that it is raised with."""
    found: list[tuple[str, int | None]] = []
    for nodes in modules():
        raised: dict[int, int] = {}
        for node in nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in codes():
                raised |= {id(inner): codes()[node.func.id] for argument in node.args for inner in ast.walk(argument)}
        for node in nodes:
            if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and " " in str(node.value)):
                found.append((text_of(node), raised.get(id(node))))
    return tuple(found)


def text_of(node: ast.JoinedStr | ast.Constant) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else filled_in(part) for part in parts).replace("`", "")


def filled_in(part: ast.expr) -> str:
    """What an item is called (tlbatch.nouns), as it is called of images; `…` for all else."""
    call = part.value if isinstance(part, ast.FormattedValue) else part
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "nouns":
        return f"… {nouns.items()}" if call.func.attr == "count" else str(getattr(nouns, call.func.attr)())
    return "…"


def explained() -> Iterator[tuple[str, int | None]]:
    for section in pages()["docs/troubleshooting.md"].split("\n## ")[1:]:
        code = re.match(r"Exit (\d+)", section)
        yield from ((sentence, int(code[1]) if code else None) for sentence in TABLE.findall(section))


@pytest.mark.parametrize(("sentence", "code"), list(explained()), ids=lambda value: str(value)[:50])
def test_sentences_that_are_explained_are_printed_and_end_so(sentence: str, code: int | None) -> None:
    words = re.compile(".*".join(re.escape(piece.strip()) for piece in sentence.split("…")), flags=re.DOTALL)
    found = {ends_with for text, ends_with in texts() if words.search(text)}
    assert found, "no such sentence in the code"
    known = found - {None}
    assert code is None or not known or code in known


def test_most_of_them_are_raised_where_the_code_is_seen() -> None:
    """The test above looks at codes, too: it is not that no sentence is found where it is raised."""
    seen = {code for _, code in texts()}
    assert {2, 65, 75, 124} <= seen
