"""``python -m tests.mutating COPY [TEXT …]``: make each change of tests.mutations in a copy of the tree and run its test there.

A line each: the number of the mutation, and ``fails`` (as it must), ``passes`` or what went wrong. With TEXTs only those
that have one of them in their test or file. Large libraries are imported once; each test runs in a process forked from there.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[1]
LARGE = (
    *("torch", "torchvision.models", "timm", "sklearn.metrics", "sklearn.linear_model", "scipy.stats", "boto3", "pytest"),
    *("hypothesis", "statsmodels.api", "PIL.Image", "pydantic", "click", "yaml"),
)
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__")
LIMIT_S = 600
FAILED = 1  #: pytest's exit code where tests ran and some failed


def copy_of(tree: Path, to: Path) -> None:
    """What tests of ``tree`` need, without its history and caches."""
    shutil.copytree(tree, to, ignore=LEFT_OUT)


def forked(work: Callable[[], int]) -> tuple[int, str]:
    """Exit code and output of ``work`` in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.close(reading)
        signal.alarm(LIMIT_S)  # what is broken may go on for ever
        os._exit(work())
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8", errors="replace") as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def run_test(copy: Path, test: str) -> int:
    """pytest's exit code. Of a test of the copy, with the copy's modules: none of them was imported here."""
    import pytest

    for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "tlbatch", "jobs")]:
        del sys.modules[name]
    os.chdir(copy)
    sys.path[:] = [str(copy), *(place for place in sys.path if place not in ("", str(ROOT)))]
    os.environ["PYTHONPATH"] = str(copy)
    code = int(pytest.main(["-n", "0", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-m", "", test]))
    sys.stdout.flush()
    return code


def tried(mutation: Mutation, copy: Path) -> str:
    """``fails``, ``passes``, or a sentence."""
    file = copy / mutation.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutation.was) != 1:
        return f"{mutation.file} has the text of this mutation {text.count(mutation.was)} times: write it anew"
    file.write_text(text.replace(mutation.was, mutation.now), encoding="utf-8")
    try:
        code, said = forked(lambda: run_test(copy, mutation.test))
    finally:
        file.write_text(text, encoding="utf-8")
    if code == FAILED and "\nFAILED " in said:
        return "fails"
    return "passes" if code == 0 else f"pytest ended with {code}: {said[-2000:]}"


def main(copy: Path, texts: list[str]) -> Iterator[str]:
    copy_of(ROOT, copy)
    for name in LARGE:
        with contextlib.suppress(ImportError), contextlib.redirect_stderr(io.StringIO()):
            importlib.import_module(name)
    for number, mutation in enumerate(MUTATIONS):
        if not texts or any(text in f"{mutation.test} {mutation.file}" for text in texts):
            yield f"{number} {tried(mutation, copy)}"


if __name__ == "__main__":
    for line in main(Path(sys.argv[1]), sys.argv[2:]):
        print(line, flush=True)
