"""Where an S3 server is, as users write it: in the environment, in AWS's config file, in a context."""

from __future__ import annotations

import os

from tlbatch.errors import StudyError

NAMES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def check_no_login(endpoint: str, where: str) -> None:
    """Raises StudyError for ``http://user:password@host``, without repeating it: sentences, logs and Secrets name endpoints."""
    if "@" in endpoint:
        raise StudyError(
            f"{where} holds a login (what stands before its @), which S3 has no use for: write http://HOST:PORT or "
            "https://HOST, and the keys as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )


def given_endpoint() -> str | None:
    """What the environment says. Raises StudyError where it holds a login."""
    for name in NAMES:
        if endpoint := os.environ.get(name):
            check_no_login(endpoint, name)
            return endpoint
    return None
