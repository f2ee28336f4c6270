"""Sentences call an item what its kind calls it (tlbatch.nouns), and not an image: new ones that do are found here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imports import ROOT
from tlbatch import nouns
from tlbatch.kinds import kind_of, speak_of

WORD = re.compile(r"\b(images?|pictures?)\b", re.IGNORECASE)
OF_IMAGES = {
    "jobs/kinds/image/": "that kind's own",
    "tlbatch/kinds/image.py": "that kind's own",
    "tlbatch/nouns.py": "the words themselves",
    "jobs/models/": "tlbatch's networks, which take images",
    "jobs/samples.py": "draws images",
    "tlbatch/backbones/": "tlbatch's networks, which take images",
    "tlbatch/init.py": "writes a study of a folder of images",
    "tlbatch/spec/check_kind.py": "says what is for images alone",
    "tlbatch/entries.py": "the default kind",
}
OF_CONTAINERS = (
    "tlbatch/backends/kubernetes.py",
    "tlbatch/cluster/diagnosis.py",
    "tlbatch/doctor.py",
    "tlbatch/environment.py",
    "tlbatch/execution/driver_job.py",
    "tlbatch/manifests/",
    "tlbatch/plugins.py",
    "tlbatch/profiles.py",
)
ALLOWED = {
    "tlbatch/cli.py": {"help"},
    "tlbatch/commands/comparison.py": {": -o json, or -o csv --table images, names all"},
    "tlbatch/commands/scheduling.py": {"that has images, and leave out --here", "context set images="},
    "tlbatch/commands/backbones.py": {"the image tower; beside it "},
    "tlbatch/planning/resolve.py": {"same images"},
    "tlbatch/planning/runs.py": {"same images"},
    "jobs/reporting/cautions.py": {"same images"},
    "jobs/reporting/sentences.py": {"same images"},
}
"""Names of options and of stored values, and help that is printed before any kind is known."""
STATIC = ("help", "description")
"""Arguments that are said before any kind is known: of options and of a study's fields."""


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """Text that may reach a person: no docstrings, no static help, no names of fields."""
    tree = ast.parse(path.read_text())
    silent: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            silent |= {id(node.value)}
        if isinstance(node, ast.Call):
            silent |= {id(part) for word in node.keywords if word.arg in STATIC for part in ast.walk(word.value)}
    spoken = {id(each) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for each in node.values}
    given = {id(each) for node in ast.walk(tree) if isinstance(node, ast.Call) and not _reads(node) for each in node.args}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)) or id(node) in silent:
            continue
        if re.search(r"\s", node.value.strip()) or id(node) in spoken | given:
            yield node.lineno, node.value


def _reads(call: ast.Call) -> bool:
    """Whether a call's text is a field's or an option's name."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in {"get", "getattr", "Dim", "option", "startswith", "pop"}


def found_in(root: Path) -> list[str]:
    said = []
    for path in sorted([*root.glob("jobs/**/*.py"), *root.glob("tlbatch/**/*.py")]):
        name = path.relative_to(root).as_posix()
        if name.startswith((*OF_IMAGES, *OF_CONTAINERS)):
            continue
        allowed = ALLOWED.get(name, set())
        for line, text in sentences(path):
            if WORD.search(text) and not any(part in text or part == "help" for part in allowed):
                said.append(f"{name}:{line}: {text!r}")
    for path in sorted(root.glob("jobs/reporting/templates/*.jinja")):
        text = re.sub(
            r"""(id|href|class|aria-labelledby)="[^"]*"|(?<=\.)\w+|--table images""",
            lambda hit: " " * len(hit[0]),
            path.read_text(),
        )
        said += [f"{path.name}: {text[max(0, hit.start() - 40) : hit.end() + 20]!r}" for hit in WORD.finditer(text)]
    return said


def test_no_sentence_says_image_where_it_means_an_item() -> None:
    assert found_in(ROOT) == [], "say it with tlbatch.nouns, or, where it is of images or containers alone, add it above"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("jobs/a.py", 'def f(n):\n    return f"{n} images"\n'),
        ("tlbatch/a.py", 'WHY = "no such picture"\n'),
        ("jobs/a.py", 'def f(context):\n    context.progress(1, 2, "images")\n'),
        ("jobs/reporting/templates/a.jinja", "<p>Test images</p>"),
        ("jobs/reporting/templates/a.jinja", '{{ show("Test images") }}'),
    ],
)
def test_one_that_did_would_be_found(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert len(found_in(tmp_path)) == 1


def test_a_process_speaks_of_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nouns, "_nouns", nouns.Nouns("series", "series"))
    assert [nouns.item(), nouns.items(), nouns.an_item(), nouns.content(), nouns.contents()] == [
        "series",
        "series",
        "a series",
        "series",
        "series",
    ]
    assert nouns.count(1, "test") == "1 test series"
    speak_of(None)
    assert [nouns.an_item(), nouns.count(1), nouns.count(2000, "test"), nouns.contents()] == [
        "an image",
        "1 image",
        "2,000 test images",
        "pictures",
    ]
    assert kind_of(None).item == "image"
