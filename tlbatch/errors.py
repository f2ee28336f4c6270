"""What can go wrong, as sentences. An error class owns its exit code (the contract of the manual's table, docs/commands.md)."""

import errno


class TlbatchError(Exception):
    """A failure the user can act on. Its text says what is wrong, where, and what to do.

    ``exit_code`` is what the process ends with; 1 means a bug in tlbatch or in a step.
    """

    exit_code = 1
    way_out = ""
    """Added to the text where nobody caught the error: for those whose text is about an object, not about a task."""


class StudyError(TlbatchError):
    """The study (or the command line) is wrong: fix it and try again."""

    exit_code = 2


class OtherVersionError(StudyError):
    """An object of a store that a newer or older tlbatch wrote and this one does not understand: that object alone."""


class DataError(TlbatchError):
    """The data is wrong: too many bad files, a missing CSV, a split that cannot be drawn."""

    exit_code = 65


class TransientError(TlbatchError):
    """Come back later: the store cannot be reached, a GPU's memory is taken."""

    exit_code = 75


class CorruptArtifactError(TransientError):
    """A file of an artifact does not match its manifest. The manifest has been set aside; the task must run again."""


class DeadlineError(TlbatchError):
    """The task used up its run time (``deadline``), summed over resumes."""

    exit_code = 124


class Stopped(TlbatchError):  # noqa: N818 - it is a request, not an error
    """Asked to stop (SIGTERM, Ctrl-C): state is saved, a later start goes on from there."""

    exit_code = 143


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says of a file system that is full, or of a quota that is used up."""
FINAL_CODES = frozenset({1, 2, 65, 124, 126, 127})
"""Exit codes that trying again does not change."""
BACKOFF_LIMIT = 6
"""Attempts of a task that end otherwise, before it counts as failed."""
BY_CODE: dict[int, type[TlbatchError]] = {
    error.exit_code: error for error in (StudyError, DataError, TransientError, DeadlineError, Stopped)
}


def error_of(code: int, sentence: str) -> TlbatchError:
    """What a process of ours that ended with ``code`` would have raised here."""
    return BY_CODE.get(code, TlbatchError)(sentence)


def no_room(error: BaseException) -> bool:
    """Whether a file system was full, by the system's number or, where a library keeps that to itself, by its words."""
    return (isinstance(error, OSError) and error.errno in NO_ROOM) or "No space left on device" in str(error)
