"""What is wrong with a study's text, as its user reads it."""

from __future__ import annotations

from tlbatch.errors import StudyError
from tlbatch.spec import parse_study


def mistakes_in(text: str) -> list[str]:
    """A line each; none where the study is right."""
    try:
        parse_study(text)
    except StudyError as error:
        return str(error).splitlines()
    return []
