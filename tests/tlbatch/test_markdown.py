"""Names in Markdown are shown as they are: by CommonMark's own rules (markdown-it), with GitHub's tables and strikethrough.

Mutations tried: without what begins a line, "- ", "#", "1." and ">" are lists, headings and quotes; without ``_MARKS`` most.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tlbatch.markdown import markdown, markdown_code, markdown_table
from tlbatch.output import one_line

RENDER = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render
NAMES = st.text(st.sampled_from("ab1 #*_-+=>~`|\\[](){}<!&;:./$x\n\"'"), max_size=12)
PATIENT = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))


class Shown(HTMLParser):
    """The text of a page, and what it is in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags = "", list[str]()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def words(text: str) -> str:
    """As a browser shows it: runs of blanks are one."""
    return re.sub(r"\s+", " ", text).strip()


def as_given(name: str) -> str:
    return words(one_line(name.replace("\n", " ")))


@PATIENT
@given(NAMES)
@example("1) a")
@example("[x] done")
@example("&lt;b&gt;")
@example("--- ")
@example("a #")
def test_a_line_is_shown_as_it_is(name: str) -> None:
    """Of a paragraph, a list and a heading."""
    for before, tags in (("", ["p"]), ("- ", ["ul", "li"]), ("# ", ["h1"])):
        shown = Shown(RENDER(f"{before}{markdown(name)}\n"))
        assert words(shown.text) == as_given(name)
        assert shown.tags == (tags if as_given(name) or before else [])


@PATIENT
@given(NAMES, NAMES)
def test_a_cell_is_shown_as_it_is(name: str, other: str) -> None:
    page = RENDER("\n".join(markdown_table(("name", other), [(name, "-0.5")])) + "\n")
    cells = [words(Shown(cell).text) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", page, re.DOTALL)]
    assert cells == ["name", as_given(other), as_given(name), "-0.5"]
    assert set(Shown(page).tags) <= {"table", "thead", "tbody", "tr", "th", "td"}


@PATIENT
@given(NAMES.filter(lambda name: name.strip()))
def test_code_is_shown_as_it_is(name: str) -> None:
    shown = Shown(RENDER(f"of {markdown_code(name)} only\n"))
    assert shown.tags == ["p", "code"]
    assert words(shown.text) == words(f"of {one_line(name.replace(chr(10), ' '))} only")


def test_what_needs_no_escape_stays_readable() -> None:
    for name in ("cats and dogs", "f_g", "#0b62a4", "-0.5", "3-5 kg", "[x]y", "5 %"):
        assert markdown(name) == name


@pytest.mark.parametrize(
    ("name", "written"), [("a|b\n*c*", r"a\|b \*c\*"), ("\x1b]0;", r"\\x1b]0;"), ("$5 to $10", r"\$5 to \$10")]
)
def test_what_is_written(name: str, written: str) -> None:
    assert markdown(name) == written
