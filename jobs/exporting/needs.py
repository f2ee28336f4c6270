"""What an export needs of other packages, and the sentence where one is missing."""

from __future__ import annotations

from tlbatch.errors import StudyError


def missing(error: ModuleNotFoundError) -> StudyError:
    """The sentence for a package that is not here."""
    return StudyError(
        f"there is no {error.name} here: to pull a champion install what runs its network here: pip install 'tlbatch[export]'"
    )
