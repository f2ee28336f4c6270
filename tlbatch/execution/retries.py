"""What follows from how an attempt ended: once more, or not. Decided by exit codes, never by texts (design §7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlbatch.backends import Ended
from tlbatch.errors import BACKOFF_LIMIT, FINAL_CODES
from tlbatch.steps import more_memory

RETRY, FAIL = "retry", "fail"
OOM_KILLED, OOM_LIMIT = 137, 2
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0


@dataclass(frozen=True)
class Verdict:
    """``wait_s`` is how long to wait before the next try."""

    action: str
    sentence: str
    wait_s: float = 0.0


def own_words(ended: Ended, said: Mapping[str, Any] | None, started: float) -> bool:
    """Whether the task itself said why it ended."""
    return said is not None and said.get("code") == ended.code and float(said.get("time", 0.0)) >= started


def judge(ended: Ended, said: Mapping[str, Any] | None, step: str, started: float, codes: Sequence[int]) -> Verdict:
    """Of a task of ``step``. ``said`` is its exit.json, ``started`` (Unix time, s) tells whether it is this attempt's;
    ``codes``: all yet."""
    sentence = _sentence(ended, said, started)
    if ended.code in FINAL_CODES or ended.final:
        return Verdict(FAIL, sentence)
    if codes.count(OOM_KILLED) >= OOM_LIMIT:
        way = more_memory(step)
        return Verdict(FAIL, f"{sentence}, {OOM_LIMIT} times" + ("" if way in sentence else f": {way}"))
    if len(codes) > BACKOFF_LIMIT:
        return Verdict(FAIL, f"{sentence}; given up after {len(codes)} tries")
    return Verdict(RETRY, sentence, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (len(codes) - 1)))


def _sentence(ended: Ended, said: Mapping[str, Any] | None, started: float) -> str:
    if ended.sentence:
        return ended.sentence
    if said and own_words(ended, said, started):
        return str(said.get("sentence", ""))
    last = next((line for line in reversed(ended.output.splitlines()) if line.strip()), "")
    if ended.code == OOM_KILLED:
        return "killed, most likely for want of memory"
    if ended.code > 128:
        return f"ended by signal {ended.code - 128}" + (f": {last}" if last else "")
    if ended.code == 0:
        return "ended well but left no artifact in the store"
    return last or f"ended with code {ended.code} and no words"
