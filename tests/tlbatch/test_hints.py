"""What is suggested works when it is typed: names in "did you mean", values in quotes, commands in sentences and the manual.

Breaks when a hint is made from what YAML read instead of what was written, when a command or option that a sentence names
is renamed, or with a distance that knows no swapped letters (so it was: `vgg61` gave 'vgg19', `[001]` gave "1").
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.docs.pages import FENCE, pages
from tests.mistakes import mistakes_in
from tlbatch.backbones.catalogue import backbones, weights_of
from tlbatch.backbones.names import backbone_hint, backbone_names
from tlbatch.cli import COMMANDS, cli
from tlbatch.cli import _code as tlbatch
from tlbatch.errors import StudyError
from tlbatch.schema.nearest import distance, nearest
from tlbatch.spec import parse_study

ROOT = Path(__file__).parents[2]
STUDY = """\
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: s3://pets/all, split: {train: 0.7, validation: 0.15, test: 0.15, seed: 1}, classes: [cat, dog], max_bad: 0.1}
repeat: {seeds: [0]}
control: cheap
precision: fp32
augmentations: {gentle: {zoom: 0.1, rotate: 10, flip: horizontal, brightness: 0.1}}
runs:
  - name: tuned
    model: {backbone: resnet18, head: {dense: [8], dropout: 0.2, batch_norm: true}, layer: layer4, pool: avg}
    strategy: {finetune: {unfreeze: [layer3, layer4], warm_up: 1}}
    augmentation: gentle
    input: {size: 64, resize: squash, interpolation: bilinear}
    train: {epochs: 3, batch_size: 8, optimizer: adamw, schedule: cosine, select: best, class_weights: {cat: 2.0}}
resources: {gpu: 1, memory: 32Gi, deadline: 2h}
schedule: {cron: "0 3 * * *", timezone: Etc/UTC, promote_on: accuracy, class_bound: {cat: 0.1}}
"""
WORDS = sorted(
    {*re.findall(r"\b[a-z_]{4,}(?=: )", STUDY)}
    | {"resnet18", "layer4", "gentle", "adamw", "cosine", "squash", "bilinear", "horizontal", "accuracy", "cheap", "best"}
)


def slips(word: str) -> Iterator[str]:
    """A swap, a letter left out, doubled, changed; a separator and the case."""
    middle = len(word) // 2
    yield word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :]
    yield word[:middle] + word[middle + 1 :]
    yield word[:middle] + word[middle] + word[middle:]
    yield word[:-1] + "q"
    yield word.replace("_", "-")
    yield word.upper()


def test_the_study_is_right() -> None:
    assert mistakes_in(STUDY) == []


@pytest.mark.parametrize("word", WORDS)
def test_every_name_mistyped_is_suggested_and_works(word: str) -> None:
    places = list(re.finditer(rf"(?<![\w./-]){re.escape(word)}(?![\w./-])", STUDY))
    place = places[-1] if word == "gentle" else places[0]  # where it is used, not where it is made
    for slip in {*slips(word)} - {word}:
        text = STUDY[: place.start()] + slip + STUDY[place.end() :]
        lines = mistakes_in(text)
        hints = [re.search(r"did you mean '([^']+)'\?", line) for line in lines if slip in line]
        typed = [hint.group(1) for hint in hints if hint]
        if not typed:  # where any name will do, or all are listed
            continue
        corrected = STUDY[: place.start()] + typed[0] + STUDY[place.end() :]
        left = mistakes_in(corrected)
        assert not any(f"unknown key {typed[0]!r}" in line or "did you mean" in line for line in left), (slip, typed)
        assert typed[0] == word or distance(slip.lower(), typed[0]) <= distance(slip.lower(), word), (slip, typed)


@pytest.mark.parametrize("written", ["001", "1.10", "0x1F", "0o17", "1e3", "True", "null", "~", "+5", ".5", "-0", "FALSE"])
def test_text_that_yaml_reads_otherwise_is_hinted_as_it_was_written(written: str) -> None:
    text = STUDY.replace("[cat, dog]", f"[{written}, dog]").replace("cat: 2.0", "dog: 2.0").replace("cat: 0.1", "dog: 0.1")
    [line] = mistakes_in(text)
    [hint] = re.findall(r"put it in quotes: (\".*\")\)", line)
    assert yaml.safe_load(hint) == written
    assert mistakes_in(text.replace(f"[{written}, dog]", f"[{hint}, dog]")) == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("vgg61", "vgg16"), ("vgg-16", "vgg16"), ("resent18", "resnet18"), ("mobilenetv2", "mobilenet_v2"), ("VGG19", "vgg19")],
)
def test_backbones_are_told_by_slips_of_the_fingers(typed: str, meant: str) -> None:
    assert f"did you mean {meant!r}?" in backbone_hint(typed)


def test_timm_s_names_with_weights_are_two_fields() -> None:
    """``<architecture>.<weights>`` names just that architecture, and where they are known just those weights."""
    names = set(backbone_names())
    tried = 0
    for name in sorted(names):
        for weight in weights_of(name)[:2]:
            tag = f"{name.removeprefix('timm/')}.{weight.name}"
            if tag in names or not name.startswith("timm/"):
                continue
            match = re.search(r"did you mean '([^']+)'(?: with weights: (\S+))?\?", backbone_hint(tag))
            assert match is not None, tag
            assert match.group(1) in names
            assert match.group(1).removeprefix("timm/") == name.removeprefix("timm/"), tag
            if match.group(2):
                assert match.group(2) in [known.name for known in weights_of(match.group(1))]
            tried += 1
            break
        if tried > 40:
            break
    assert tried
    hint = backbone_hint("resnet50.a1_in1k")
    assert re.search(r"'(timm/)?resnet50'", hint), hint
    assert re.search(r"'vgg16'", backbone_hint("vgg16.made_up"))


def test_what_is_meant_by_a_name() -> None:
    assert nearest("", ["a"]) is None
    assert nearest("zzzzzz", ["cat", "dog"]) is None
    assert nearest("efficientnet", list(backbones())) in backbones()
    assert distance("61", "16") < distance("61", "19")
    assert distance("a_b", "a-b") < 1


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistyped_command_is_told(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for slip in {*slips(name)} - {*COMMANDS}:
        assert tlbatch([slip]) == 2
        hint = re.search(r"did you mean '([^']+)'\?", capsys.readouterr().err)
        assert hint is None or hint.group(1) in COMMANDS
        if len(name) > 4:
            assert hint is not None


def test_a_mistyped_run_of_set_is_told_and_works() -> None:
    with pytest.raises(StudyError) as raised:
        parse_study(STUDY, overrides=["runs[tunde].train.lr=1e-4"])
    hint = re.search(r"did you mean '([^']+)'\?", str(raised.value))
    assert hint is not None
    assert parse_study(STUDY, overrides=[f"runs[{hint.group(1)}].train.lr=1e-4"]).study.runs[0].train.lr == 1e-4


# ---- commands ----


def texts_of(path: Path) -> Iterator[str]:
    """Every text in a module; what is filled in is X."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def commands_in(text: str) -> Iterator[str]:
    yield from re.findall(r"`(tlbatch [^`]+)`", text)
    yield from re.findall(r"^ *(tlbatch [a-z][^`\n]*?)(?:  +.*)?$", text, flags=re.M)


def printed_commands() -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for package in ("tlbatch", "jobs"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for text in texts_of(path):
                found |= {command: str(path.relative_to(ROOT)) for command in commands_in(text)}
    for page, text in {**pages(), "CONTRIBUTING.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")}.items():
        lines = (line.removeprefix("$ ").partition("tlbatch ") for line in text.splitlines())
        typed = {f"tlbatch {words}" for before, program, words in lines if program and re.fullmatch(r"([A-Z_]+=\S+ )*", before)}
        typed |= set(re.findall(r"`(tlbatch [^`]+)`", FENCE.sub("", text)))
        found |= dict.fromkeys(typed, page)
    return sorted(found.items())


def unknown_in(command: str) -> str:
    """What of a command line is no command or option; "" where all is."""
    words = shlex.split(re.split(r"  #| >>? | \| ", command)[0], comments=True)[1:]
    group: click.Command = cli
    context = click.Context(cli)
    while isinstance(group, click.Group) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        inner = group.get_command(context, words[0])
        if inner is None:
            return "" if getattr(group, "invoke_without_command", False) or group.name == "report" else words[0]
        group, words = inner, words[1:]
    options: dict[str, Any] = {opt: param for param in group.params for opt in (*param.opts, *param.secondary_opts)}
    options |= {opt: None for param in cli.params for opt in param.opts} | {"--help": None, "-h": None}
    for word in words:
        name = word.partition("=")[0]
        if name.startswith("-") and len(name) > 1 and name not in options and not re.fullmatch(r"-[a-zA-Z]{2,}", name):
            return word
    return ""


@pytest.mark.parametrize(("command", "where"), printed_commands(), ids=lambda text: text[:60])
def test_every_printed_command_exists_with_its_options(command: str, where: str) -> None:
    try:
        unknown = unknown_in(command)
    except ValueError:  # an apostrophe of a sentence that goes on
        return
    assert unknown in {"", "…", "X", "..."} or unknown.startswith("X"), f"{where}: {command}: {unknown}"
