"""The promises of the design (section 8): which tests hold each, and that these fail when it is broken.

A test that holds promise n is marked ``@pytest.mark.promise(n)``, and its docstring says what makes it fail: ``Fails when …``.
``pytest -m promise`` runs them all. Breaking each on purpose takes minutes: TLBATCH_CHAOS=1 does it (tests.mutating).
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutations import MUTATIONS
from tests.requirements import chaos_only

ROOT = Path(__file__).resolve().parents[1]
PROMISES = {
    1: "nothing twice",
    2: "killed and resumed equals uninterrupted",
    3: "frozen means frozen",
    4: "the weights' own preprocessing",
    5: "no leak",
    6: "no silent winner",
    7: "the test set is touched once",
    8: "a bad file costs one line",
    9: "what is read is verified",
    10: "a champion's number is honest however often it was asked",
    11: "one truth",
    12: "every error is a sentence",
}


def marked() -> Iterator[tuple[int, str, str]]:
    """Promise, test and docstring of every test that is marked; the tests are read, not imported."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for mark in getattr(node, "decorator_list", []):
                if isinstance(node, ast.FunctionDef) and ast.unparse(mark).startswith("pytest.mark.promise("):
                    name = f"{path.relative_to(ROOT).as_posix()}::{node.name}"
                    yield int(ast.unparse(mark.args[0])), name, " ".join((ast.get_docstring(node) or "").split())


MARKED = list(marked())


@pytest.mark.parametrize("promise", PROMISES, ids=PROMISES.values())
def test_tests_hold_it_and_say_what_breaks_it(promise: int) -> None:
    held = {name: docstring for number, name, docstring in MARKED if number == promise}
    assert held
    assert [name for name, docstring in held.items() if "Fails when " not in docstring] == []
    broken = {mutation.test for mutation in MUTATIONS if mutation.promise == promise}
    assert broken <= held.keys(), "a mutation's test is marked with the promise that it breaks"
    assert broken


def test_no_other_promise_is_marked() -> None:
    assert {number for number, _, _ in MARKED} == set(PROMISES)


def test_every_mutation_still_has_what_it_changes() -> None:
    """Else a promise is not put to the test any more, unseen until `make chaos`: two were stale when this was written."""
    there = {(mutation.file, mutation.was) for mutation in MUTATIONS}
    texts = {file: (ROOT / file).read_text() for file, _ in there if (ROOT / file).is_file()}
    assert [(file, was) for file, was in sorted(there) if was not in texts.get(file, "")] == []


@pytest.mark.slow
@chaos_only
def test_what_breaks_a_promise_is_noticed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.mutating", str(tmp_path / "copy")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.split(" ", 1)[0].isdigit())
    unnoticed = {
        f"{mutation.promise}: {mutation.test}, {mutation.now[:60]!r}": found.get(str(number), "not tried")
        for number, mutation in enumerate(MUTATIONS)
        if found.get(str(number)) != "fails"
    }
    assert unnoticed == {}, done.stderr[-2000:]
