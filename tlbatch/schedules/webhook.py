"""A webhook that hears how a firing ended, in the JSON that Slack, Mattermost and their like take. Its URL is a secret."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from tlbatch.output import printable

TIMEOUT_S = 10.0
TRIES = 2
WAIT_S = 1.0
BLOCK_LENGTH = 2900
"""Slack refuses a block's text of more than 3000 characters."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would turn the POST into a GET of somebody else's page."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


def message(line: str, table: Sequence[str]) -> dict[str, Any]:
    """``{text, blocks}``: the line for notifications, line and table (its lines of text) for the channel. Pure."""
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": _escaped(line)[:BLOCK_LENGTH]}}]
    if table:
        text = _escaped("\n".join(table))
        short = text if len(text) <= BLOCK_LENGTH else text[:BLOCK_LENGTH].rpartition("\n")[0] + "\n…"
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": f"```\n{short}\n```"}})
    return {"text": _escaped(line), "blocks": blocks}


def post(
    url: str,
    document: dict[str, Any],
    timeout_s: float = TIMEOUT_S,
    tries: int = TRIES,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Send it, ``tries`` times at most; returns "" or a sentence on why it failed. Never raises, never tells the URL."""
    try:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError
    except ValueError:
        return "the webhook's URL is no http:// or https:// URL: fix the Secret that schedule.webhook names"
    data = json.dumps(document).encode()
    said = ""
    for attempt in range(tries):
        if attempt:
            sleep(WAIT_S)
        said = _within(timeout_s, lambda: _post(url.strip(), data, timeout_s))
        if not said:
            return ""
    return f"the webhook at {parts.hostname} {said} ({tries} tries)"


def _post(url: str, data: bytes, timeout_s: float) -> str:
    """One try; "" or what went wrong."""
    try:
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", "User-Agent": "tlbatch"})
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout_s):
            return ""
    except urllib.error.HTTPError as error:
        return f"answered {error.code}"
    except urllib.error.URLError as error:
        return "did not answer in time" if isinstance(error.reason, TimeoutError) else f"cannot be reached ({error.reason})"
    except TimeoutError:
        return "did not answer in time"
    except (OSError, ValueError, HTTPException) as error:  # broken answers and odd URLs: their texts may tell the URL
        return f"cannot be reached ({type(error).__name__})"


def _within(timeout_s: float, call: Callable[[], str]) -> str:
    """``call``'s answer, or words where it takes longer in all: a server may answer a byte a second."""
    answer: list[str] = []
    thread = Thread(target=lambda: answer.append(call()), name="webhook", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answer[0] if answer else "did not answer in time"


def _escaped(text: str) -> str:
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
