"""What reaches a terminal: every text of ours passes here, and what could steer a terminal is shown, not obeyed.

Names of files and classes, keys of studies, words of servers, logs of pods: whoever wrote them may have put control characters
into them (``ESC ]0;…`` renames a window, U+202E turns text round). ``screened`` replaces ``sys.stdout`` and ``sys.stderr``, so
nothing that prints needs to think of it: `print`, `click.echo`, click's own errors, warnings and tracebacks alike. What tlbatch
itself wants of the terminal goes through ``steer``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator
from typing import NoReturn, TextIO, cast

from tlbatch.errors import TransientError

#: C0 (without tab and line feed), DEL, C1; what has no width, what turns the direction of writing, what separates lines; halves
#: of surrogate pairs (undecodable bytes of file names): Unicode's Cc, Cf, Cs, Zl, Zp and letters that are drawn as nothing
_HARMFUL = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_UNSAFE = re.compile(f"[{_HARMFUL}]")
_UNSAFE_IN_A_LINE = re.compile(f"[{_HARMFUL}\t\n]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""``text`` with every character that could steer a terminal as an escape (``\x1b``, ``\u202e``); lines and tabs stay."""
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    r"""Like ``printable``, in one line: a name with a line feed in it must not look like two (``\n``)."""
    return _UNSAFE_IN_A_LINE.sub(_escape, text)


def is_printable(text: str) -> bool:
    """Whether a terminal would only show it."""
    return _UNSAFE.search(text) is None


def json_printable(text: str) -> str:
    r"""A JSON text with the same characters as JSON's own escapes: it reads back as the very same data."""
    return _UNSAFE.sub(lambda found: "".join(f"\\u{unit:04x}" for unit in _utf16(found[0])), text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    number = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _utf16(character: str) -> list[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2)]


# -- the streams ------------------------------------------------------------------------------------------------------


class Screen:
    """A text stream that shows what would steer it, and what its encoding lacks, as escapes. It outlives its reader."""

    def __init__(self, stream: TextIO, reader_left: Callable[[], None] = lambda: None) -> None:
        self._stream, self._reader_left, self._left = stream, reader_left, False

    def write(self, text: str) -> int:
        self._send(printable(text))
        return len(text)  # as given: who asks wants to know that all of it was taken

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._send("", flush=True)

    def steer(self, codes: str) -> None:
        """Write control codes of our own."""
        self._send(codes, flush=True)

    def _send(self, text: str, flush: bool = False) -> None:
        if self._left:
            return
        try:
            if text:
                self._stream.write(_encodable(text, self._stream))
            if flush:
                self._stream.flush()
        except BrokenPipeError:
            self._left = True
            _to_nowhere(self._stream)
            self._reader_left()
        except OSError as error:
            self._left = True
            _to_nowhere(self._stream)
            raise TransientError(
                f"what is printed could not be written ({error.strerror}): make room, or send it elsewhere"
            ) from error

    def __getattr__(self, name: str) -> object:
        """All else is the stream's, but for its ``buffer``: click would write past this screen where the encoding is ASCII.

        (As a property that raises AttributeError it would be had all the same: Python then asks here.)
        """
        if name == "buffer":
            raise AttributeError("a Screen takes text only")
        return getattr(self._stream, name)


def _encodable(text: str, stream: TextIO) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return text
    return text


def _to_nowhere(stream: TextIO) -> None:
    """What is still in the stream's buffer goes nowhere, or the interpreter would complain at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _done() -> NoReturn:
    sys.exit(0)


def _open_standard_streams() -> None:
    """Those that were closed (``2>&-``) lead nowhere: else the next file that is opened would be what all prints go to."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def install(*, end_without_reader: bool = False) -> None:
    """Put a Screen before stdout and stderr. ``end_without_reader``: a closed stdout (`| head`) ends the program with 0."""
    _open_standard_streams()
    if not isinstance(sys.stdout, Screen):
        sys.stdout = cast(TextIO, Screen(sys.stdout, _done if end_without_reader else lambda: None))
    if not isinstance(sys.stderr, Screen):
        sys.stderr = cast(TextIO, Screen(sys.stderr))


@contextlib.contextmanager
def screened() -> Iterator[None]:
    """``install`` for a while, for a command line."""
    before = sys.stdout, sys.stderr
    install(end_without_reader=True)
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = before


def steer(stream: TextIO, codes: str) -> None:
    """Control codes of our own (the cursor, an erased line), for a stream that may be a Screen."""
    screen: object = stream
    if isinstance(screen, Screen):
        screen.steer(codes)
    else:
        stream.write(codes)
        stream.flush()


# -- width ------------------------------------------------------------------------------------------------------------


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is (COLUMNS where it is set); None where stdout is none."""
    if os.environ.get("COLUMNS", "").isdecimal() and int(os.environ["COLUMNS"]) > 0:
        return int(os.environ["COLUMNS"])
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def width_of(text: str) -> int:
    """Columns that ``text`` takes: two for wide characters of East Asia and emoji, none for marks set on the one before."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text: str, width: int) -> str:
    """The start of ``text`` that fits ``width`` columns, with ``…`` where something is missing."""
    if width_of(text) <= width:
        return text
    taken, room = 0, width - 1
    for place, character in enumerate(text):
        taken += _width(character)
        if taken > room:
            return text[:place] + "…"
    return text
