"""Every example of the manual is run, or held by another test, or says that it was recorded.

Breaks when a command of a page is renamed or prints something else, when a field of a study goes, when a test that holds an
example is moved, and when somebody adds an example without saying where it comes from.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml
from PIL import Image

from tests.docs.pages import ROOT, Block, blocks, pages
from tests.mistakes import mistakes_in
from tlbatch.cli import _code, cli

PRINTED = ("sh", "console", "python", "toml", "dockerfile")
BASE = {
    "apiVersion": "tlbatch/v1",
    "kind": "Study",
    "name": "pets",
    "dataset": {"url": "photos"},
    "runs": [{"name": "features", "model": {"backbone": "mobilenet_v2", "head": {"logistic": {}}}}],
}


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_every_block_says_what_holds_it(block: Block) -> None:
    assert block.language in {*PRINTED, "yaml", "formula"}, "name the block's language"
    if block.language in PRINTED:
        assert block.mark, "run it, name its test, or say when it was recorded (tests/docs/pages.py)"
    if not block.mark.startswith("tested: "):
        return
    held = ""
    for place in block.mark.split()[1:]:
        file, _, test = place.partition("::")
        assert (ROOT / file).is_file(), f"{file} is not there"
        held += (ROOT / file).read_text(encoding="utf-8")
        assert f"def {test}" in held or not test
    typed = [shlex.split(line, comments=True) for line in block.text.splitlines() if re.match(r"(\$ )?tlbatch ", line)]
    for words in typed:
        name = words[words.index("tlbatch") + 1 :][:2]
        command = name[-1] if isinstance(cli.get_command(click.Context(cli), name[0]), click.Group) else name[0]
        assert re.search(rf"\b{command}\b", held), f"none of them runs {' '.join(name)}"


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_studies_load(block: Block) -> None:
    if block.mark.startswith("tested: "):  # it needs what that test installs
        return
    document = yaml.safe_load(block.text)
    assert mistakes_in(block.text if "apiVersion" in document else yaml.safe_dump(BASE | document)) == []


def test_the_mistake_is_printed_so() -> None:
    [line] = {line for text in pages().values() for line in text.splitlines() if line.startswith("study.yaml:14:")}
    runs = "\n".join(f"  - name: r{i}\n    model: {{scratch: {{}}}}" for i in range(2))
    text = f"apiVersion: tlbatch/v1\nkind: Study\nname: pets\n\ndataset: {{url: s3://p/x}}\n\nruns:\n{runs}\n"
    assert text.count("\n") == 11
    text += "  - name: vgg16-finetuned\n    model:\n      backbone: vgg61\n"
    assert mistakes_in(text) == [line]
    assert mistakes_in(text.replace("vgg61", "vgg16")) == []


# -- what is run ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos/cat and photos/dog, 40 pictures each, and the files that pages name; no context, no store."""
    chance = np.random.default_rng(0)
    for channel, label in enumerate(("cat", "dog")):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(40):
            pixels = chance.integers(0, 256, (48, 48, 3), dtype=np.uint8)
            pixels[:, :, channel] = pixels[:, :, channel] // 4 + 180
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{label}.{number}.png")
    for block in blocks("yaml"):
        if block.mark.startswith("file: "):
            (tmp_path / block.mark.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
    for name in ("STORE", "CONTEXT", "NAMESPACE", "IMAGES", "TAG"):
        monkeypatch.delenv(f"TLBATCH_{name}", raising=False)
    monkeypatch.setenv("TLBATCH_CONFIG", str(tmp_path / "config.yaml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands_of(block: Block) -> Iterator[tuple[str, list[str] | None]]:
    """Each command line with the lines that it prints; None where the page does not show them."""
    if block.language == "sh":
        yield from ((line, None) for line in block.text.splitlines() if line)
        return
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, *printed = part.rstrip("\n").split("\n")
        yield line, printed


def pattern_of(printed: list[str]) -> str:
    """`…` alone in a line stands for any lines, within one for any characters; blanks for one or more."""
    lines = []
    for line in printed:
        words = [".*".join(re.escape(piece) for piece in word.split("…")) for word in line.split()]
        lines.append(r"(?:.*\n)*" if line.strip() == "…" else r" *" + r" +".join(words).replace(r" +.*", r".*") + r" *\n")
    return "".join(lines)


def run_block(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    for line, printed in commands_of(block):
        program, *arguments = shlex.split(line, comments=True)
        assert program == "tlbatch", f"{block}: {line}"
        capsys.readouterr()
        code = _code(arguments)
        shown = capsys.readouterr()
        assert code == 0, f"{block}: {line}: {shown.err}{shown.out}"
        if printed is not None:
            text = shown.err + shown.out
            assert re.fullmatch(pattern_of(printed), text), f"{block}: {line} printed\n{text}"


def pages_with(*marks: str) -> list[str]:
    return sorted({block.page for block in blocks("sh", "console") if block.mark in marks})


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("page", pages_with("run"))
def test_commands_print_what_the_page_says(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks("sh", "console"):
        if block.page == page and block.mark == "run":
            run_block(block, capsys)


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_studies_of_the_manual_run(capsys: pytest.CaptureFixture[str]) -> None:
    """In one sandbox, in the order of the pages: the second run of a study is cheap."""
    for block in blocks("sh", "console"):
        if block.mark == "run: slow":
            run_block(block, capsys)


@pytest.mark.parametrize("block", [block for block in blocks("python") if block.mark == "run"], ids=str)
def test_programs_print_what_their_comments_say(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(block.text, names)
    assert capsys.readouterr().out.splitlines() == re.findall(r"^# prints: (.*)$", block.text, flags=re.MULTILINE)
