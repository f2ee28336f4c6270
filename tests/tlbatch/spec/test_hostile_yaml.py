"""Any text, file or pipe as a study ends in sentences within seconds: no traceback, no hang, no memory eaten."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlbatch.errors import StudyError
from tlbatch.spec import load_study, parse_study

GOOD = """\
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: pets, split: {train: 0.7, validation: 0.15, test: 0.15}, classes: [cat, dog], aliases: {Cat: cat}}
repeat: {seeds: [0, 1]}
augmentations: {gentle: &g {zoom: 0.1, rotate: 10}}
runs:
  - name: cnn
    model: {scratch: {channels: [16, 64]}}
    train: {lr: 1e-3, epochs: 3, class_weights: {cat: 2.0}}
  - name: features
    model: {backbone: resnet18, head: {dense: [8], dropout: 0.2}, weights: default}
    strategy: {finetune: {unfreeze: [layer4], warm_up: 1}}
    augmentation: {<<: *g, shift: 0.1}
resources: {gpu: 1, memory: 32Gi, deadline: 2h}
schedule: {cron: "0 3 * * *", timezone: Etc/UTC, class_bound: {cat: 0.1}}
"""


def sentences(text: str) -> list[str]:
    """What is said of a study; [] where it is right. Any other exception is the test's failure."""
    try:
        parse_study(text)
    except StudyError as error:
        said = str(error)
        said.encode()  # it can be printed
        return said.splitlines()
    return []


NINES = "9" * 5000
DEEP = 500
HOSTILE = {
    "deep list": "a: " + "[" * DEEP + "]" * DEEP,
    "deep mapping": "a: " + "{b: " * DEEP + "}" * DEEP,
    "deep block": "\n".join("  " * i + f"k{i}:" for i in range(DEEP)),
    "deep dashes": "- " * DEEP + "x",
    "very deep": "[" * 100_000,
    "open quotes": '"' + "x" * 100_000,
    "tag int": "name: !!int abc",
    "tag float": "name: !!float x",
    "tag bool": "name: !!bool maybe",
    "tag null": "name: !!null x",
    "tag binary": "name: !!binary \xff",
    "tag python": "name: !!python/object/apply:os.system [echo]",
    "digits": f"name: {NINES}",
    "digits in a list": f"repeat: {{seeds: [{NINES}]}}",
    "digits of a hex": "name: 0x" + "f" * 5000,
    "digits of a fraction": f"dataset: {{max_bad: 0.{NINES}}}",
    "digits of an exponent": f"dataset: {{max_bad: 1e{NINES}}}",
    "not finite": "dataset: {max_bad: 1e999}",
    "nan": "dataset: {max_bad: !!float nan}",
    "escape": '"\\UFFFFFFFF"',
    "half": 'name: "\\ud800"',
    "half as a key": '"\\udfff": 1',
    "nul": 'dataset: {url: "a\\0b"}',
    "directive": f"%YAML 1.{NINES}\n---\na: 1",
    "directive of digits": f"%YAML {NINES}.1\n---\na: 1",
    "alias of itself": "a: &a [*a]",
    "merge of itself": "a: &a {<<: *a}",
    "merge of text": "a: {<<: x}",
    "many keys": "{" + ", ".join(f"k{i}: 1" for i in range(20_000)) + "}",
    "many wrong": "runs: [" + ", ".join("{nmae: 1}" for _ in range(3000)) + "]",
    "many merges": "a: &a {"
    + ", ".join(f"k{i}: 1" for i in range(100))
    + "}\nb: ["
    + ", ".join("{<<: *a}" for _ in range(900))
    + "]",
    "home of nobody": GOOD.replace("url: pets", "url: ~nobody-here/x"),
    "long url": GOOD.replace("url: pets", f"url: {'x' * 5000}"),
    "cron": GOOD.replace("0 3 * * *", f"{NINES} 3 * * *"),
    "time zone": GOOD.replace("Etc/UTC", "../../etc/passwd"),
    "amounts": GOOD.replace("32Gi", f"{NINES[:300]}Gi"),
    "variable": "a: ${" + "x" * 10_000 + "}",
}


@pytest.mark.promise(12)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_sentences_soon(name: str) -> None:
    """Fails when what PyYAML itself raises of escapes, numbers and depth (ValueError, RecursionError) comes through.

    A depth that is not counted, or a ValueError of ``plain_scalar`` alone, ends in a sentence of that last line of defence.
    """
    began = time.process_time()
    said = sentences(HOSTILE[name])
    assert time.process_time() - began < 20
    assert len(said) <= 101
    assert sum(len(line) for line in said) < 200_000
    assert all("study.yaml" in line for line in said)


@pytest.mark.promise(12)
def test_an_alias_bomb_is_counted_by_its_text() -> None:
    """Few nodes, gigabytes when written out: 1 KB of text, aliased a thousand times a thousand times. Fails when aliases are
    counted by nodes alone.
    """
    bomb = f"a: &a {'x' * 10_000}\nb: &b [{', '.join(['*a'] * 100)}]\nc: [{', '.join(['*b'] * 100)}]"
    assert "aliases" in sentences(bomb)[0]


KNOWN = [
    "name",
    "runs",
    "dataset",
    "url",
    "split",
    "train",
    "model",
    "scratch",
    "classes",
    "<<",
    "cat",
    "true",
    "~",
    "1e3",
    "0x1",
]
ODD = ["&a x", "*a", "!!int x", "!!str 1", "? x", "- ", "|\n  x", ">\n x", '"\\x00"', "'", "${X}", "${X:-1}", "$${", "0x1"]
SLIPS = ['"', "\\", "[", "}", ": ", "\n", "\t", "&", "*", "!", "%", "-1", "é", "\x07", ""]
atoms = st.one_of(
    st.sampled_from(KNOWN),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["&a x", "*a", "!!int x", "!!str 1", "? x", "- ", "|\n  x", ">\n x", '"\\x00"', "'", "${X}", "${X:-1}", "$${"]
    ),
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(atoms, inner), max_size=4).map(lambda pairs: "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}"),
    ),
    max_leaves=12,
)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(values)
def test_any_value_anywhere_is_a_study_or_sentences(value: str) -> None:
    sentences(value)
    sentences(GOOD.replace("[cat, dog]", value).replace("0.15", value, 1))


@FEW
@given(st.randoms(use_true_random=False))
def test_any_damage_to_a_good_study_is_a_study_or_sentences(chance: random.Random) -> None:
    text = list(GOOD)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(text))
        text[place : place + chance.randint(0, 9)] = chance.choice(SLIPS)
    sentences("".join(text))


def test_the_good_study_is_good() -> None:
    assert sentences(GOOD) == []


# ---- files that are none ----


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


NO_FILES = ["/dev/zero", "/dev/full", "/dev/tty", "/dev/null", "/proc/self", "/proc/self/mem", "", "x" * 5000, "a\0b"]


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_file_of_text(name: str) -> None:
    with pytest.raises(StudyError):
        load_study(name)


def test_a_pipe_that_says_nothing_a_socket_and_a_loop(pipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbatch.schema.files.WAIT_S", 0.3)
    with pytest.raises(StudyError, match="a pipe into which nothing was written"):
        load_study(pipe)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StudyError):
        load_study(tmp_path / "loop")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        with pytest.raises(StudyError, match="socket"):
            load_study("socket")


def test_a_pipe_that_says_a_study_and_one_without_end(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    program = "import sys; from tlbatch.spec import load_study; load_study(sys.argv[1]); print('loaded')"

    def run(source: str) -> subprocess.CompletedProcess[str]:
        shell = f'{sys.executable} -c "$0" <({source})'
        return subprocess.run(["bash", "-c", shell, program], capture_output=True, text=True, timeout=60, check=False)

    assert "loaded" in run(f"sleep 0.5; cat {tmp_path / 'good.yaml'}").stdout
    assert "larger than 4 MiB" in run("yes").stderr
