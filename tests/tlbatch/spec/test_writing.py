"""What is written as YAML is read as the same values: by our own reader, by PyYAML (YAML 1.1), and by Go's rules (1.2)."""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.imports import ROOT, modules
from tlbatch.schema.writing import dump_yaml
from tlbatch.schema.yamltree import read_tree
from tlbatch.spec import parse_study

LIKE_NUMBERS = [
    "1e3",
    "1e-3",
    "0o7",
    "0x1f",
    "1_000",
    "1:20",
    "+5",
    ".5",
    "5.",
    "1E5",
    "07",
    "08",
    "-0",
    "0b1",
    "-0o7",
    "0O7",
    "0X1F",
    "0B1",
    "1_0e3",
    ".inf",
    ".NaN",
]
LIKE_GO_S = ["-0o7", "+0o7", "0O7", "0X1F", "0B1", "1_0e3", "1_0.5e3"]
LIKE_WORDS = [
    "",
    *["on", "Off", "yes", "n", "Y", "y", "null", "~", "true", "FALSE", "<<", "=", "2020-01-01", "2020-01-01T00:00:00Z"],
]
LIKE_VARIABLES = ["${HOME}", "$${HOME}", "${NOBODY:-x}", "a${", "${1x}", "$", "$$${A}"]
LIKE_MARKS = ["- a", "a: b", "# a", "&a", "*a", "!!int 1", "%a", "@a", "'", '"', "a\nb", " a", "a ", "\ta", "é", "猫", "|"]
BREAKS = ["\x85", "a\x85b", "\u2028", "a\u2029", "\r", "a\r\nb", "\ufeff", "\x7f"]
texts = st.one_of(
    st.sampled_from(LIKE_NUMBERS + LIKE_GO_S + LIKE_WORDS + LIKE_VARIABLES + LIKE_MARKS + BREAKS),
    st.from_regex(r"[-+0-9.eExXoObB_:]{1,8}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
)
scalars = st.one_of(
    texts, st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()
)
documents = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)), max_leaves=8
)


def by_go(plain: str) -> bool:
    """Whether go-yaml v2 (kubectl) takes a plain scalar for something else than text: ``resolve`` of its resolve.go."""
    words = (
        "y Y yes Yes YES on On ON n N no No NO off Off OFF true True TRUE false False FALSE ~ null Null NULL << .nan .NaN .NAN"
    )
    words += " .inf .Inf .INF +.inf +.Inf +.INF -.inf -.Inf -.INF"
    if plain in {"", *words.split()}:
        return True
    number = plain.replace("_", "")
    with suppress(ValueError):
        int(number, 0)  # Python's bases are ParseInt's, but that a zero in front is octal there
        return True
    return bool(re.fullmatch(r"[-+]?(0[0-7]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)", number))


@given(documents)
def test_what_is_written_is_read(document: Any) -> None:
    """Fails when a text is written plain that either version reads as a number, a word or a date."""
    text = dump_yaml(document)
    tree = read_tree(text, "t", variables=False)
    assert (tree.mistakes, tree.value) == ([], document)
    assert yaml.safe_load(text) == document
    assert read_tree(dump_yaml({"a": document}, ascii_only=True), "t", variables=False).value == {"a": document}
    assert read_tree(dump_yaml({"a": document}, one_line=True), "t", variables=False).value == {"a": document}


@given(documents)
def test_variables_stay_what_they_stood_for(document: Any) -> None:
    """Fails when a ``${`` of a value goes out as it is: whoever reads it looks for a variable."""
    tree = read_tree(dump_yaml(document, variables=True), "t", {"HOME": "another's"})
    assert (tree.mistakes, tree.value) == ([], document)


@given(texts)
def test_kubectl_takes_a_text_for_text(text: str) -> None:
    """Fails when what only Go reads as a number or a truth value is written without quotes."""
    written = dump_yaml({text: text}, one_line=True)
    assert not (by_go(text) and written == f"{{{text}: {text}}}"), written


@pytest.mark.parametrize("text", ["y", "N", "-0o7", "+0o7", "0O7", "0X1F", "0B1", "1_0e3", "1_0.5e3", "1e3", "0o7", "on", "07"])
def test_what_go_takes_for_something_else_is_quoted(text: str) -> None:
    assert by_go(text)
    assert dump_yaml({text: text}) == f"'{text}': '{text}'\n"


ODD = """\
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset:
  url: "s3://pets/$${{HOME}}"
  split: {{train: 0.7, validation: 0.15, test: 0.15}}
  classes: [{0}, dog]
  aliases: {{{1}: dog}}
runs:
  - name: {2}
    model: {{scratch: {{channels: [16, 64]}}}}
    train: {{lr: 1e-3, epochs: 3, class_weights: {{{0}: 2.0}}}}
"""


@pytest.mark.parametrize("names", [('"1e3"', '"on"', '"1e4"'), ('"0o7"', '"~"', '"12e-1"'), ('"0x1f"', '"1_0"', '"true"')])
def test_a_study_that_is_written_out_is_the_same_study(names: tuple[str, str, str]) -> None:
    """Fails when a driver reads another study than was submitted: of the class "1e3" it read the number 1000."""
    loaded = parse_study(ODD.format(*names))
    again = parse_study(dump_yaml(loaded.document, variables=True), folder=Path("/elsewhere"))
    assert again.study == loaded.study
    assert again.document == loaded.document


OWN = ("tlbatch/schema/writing.py", "tlbatch/schema/yamltree.py")


def test_yaml_is_read_and_written_in_one_place() -> None:
    """PyYAML's own functions know no bounds, no lines and another version of YAML: whoever calls them reads something else."""
    own = {str(path.relative_to(ROOT)) for path in modules(ROOT).values() if imports_yaml(path)}
    assert own == set(OWN)


def imports_yaml(path: Path) -> bool:
    imported = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in imported for alias in node.names] + [
        getattr(node, "module", None) or "" for node in imported
    ]
    return any(name.partition(".")[0] == "yaml" for name in names)
