"""The S3 client: boto3's own chain of settings (environment, AWS's config files, roles), and what it leaves to us."""

from __future__ import annotations

import base64
import hashlib
import os
from functools import cache
from typing import Any

import boto3
from botocore import UNSIGNED, handlers
from botocore.config import Config
from botocore.loaders import create_loader
from botocore.session import get_session

ATTEMPTS = 6
"""Requests per call, with backoff between (botocore's adaptive mode); AWS_MAX_ATTEMPTS overrides."""
ANONYMOUS = "TLBATCH_S3_ANONYMOUS"


def open_client() -> Any:
    """An S3 client that retries in one place (adaptive mode) and gives up on a silent server in about a minute.

    What the user set counts, in the environment or in the profile of AWS's config file: endpoint, region, ca_bundle,
    s3.addressing_style, request_checksum_calculation, response_checksum_validation, max_attempts, retry_mode. Raises
    what botocore raises: open it inside ``translated``.
    """
    core = get_session()
    given = core.get_scoped_config()  # what the profile says, without botocore's own defaults
    descriptions = _descriptions(core.get_config_variable("data_path"))
    core.register_component("data_loader", descriptions)
    session = boto3.session.Session(botocore_session=core)
    descriptions.search_paths[:] = dict.fromkeys(descriptions.search_paths)  # every session adds boto3's own once more
    retries: dict[str, Any] = {}
    if not _is_set(given, "max_attempts"):
        retries["total_max_attempts"] = ATTEMPTS
    if not _is_set(given, "retry_mode"):
        retries["mode"] = "adaptive"
    settings: dict[str, Any] = {"connect_timeout": 10, "read_timeout": 60, "max_pool_connections": 32}
    for name in ("request_checksum_calculation", "response_checksum_validation"):
        if not _is_set(given, name):
            settings[name] = "when_required"  # many S3 servers do not know the trailing checksums of newer SDKs
    if retries:
        settings["retries"] = retries
    if os.environ.get(ANONYMOUS, "").strip().lower() in ("1", "true", "yes"):
        settings["signature_version"] = UNSIGNED
    client = session.client("s3", config=Config(**settings))
    client.meta.events.register("before-call.s3.DeleteObjects", add_content_md5)
    own = getattr(handlers, "_handle_200_error", None)
    if own is not None:  # ours before botocore's own, which takes a page for a failing server
        client.meta.events.unregister("before-parse.s3.*", own)
    client.meta.events.register_first("before-parse.s3.*", refuse_page)
    if own is not None:
        client.meta.events.register_first("before-parse.s3.*", own)
    return client


@cache
def _descriptions(data_path: str | None) -> Any:
    """What botocore reads of S3 and its endpoints: megabytes of JSON, once a process and not once a client."""
    return create_loader(data_path)


class PageError(Exception):
    """A page for people (a portal, a login, a web server) where S3's own answer should be."""


def refuse_page(response_dict: dict[str, Any], **_: Any) -> None:
    """Before botocore takes a page that came with 200 for a broken answer of S3's, to be asked for again and again."""
    body = response_dict.get("body")
    if response_dict.get("status_code") == 200 and isinstance(body, bytes) and is_page(body):
        raise PageError(" ".join(body.decode(errors="replace").split())[:200])


def is_page(body: bytes) -> bool:
    """Whether it is HTML."""
    start = body[:1000].lower()
    return any(mark in start for mark in (b"<html", b"<!doctype html", b"<body", b"<head"))


def _is_set(given: dict[str, Any], name: str) -> bool:
    return bool(os.environ.get(f"AWS_{name.upper()}")) or name in given


def add_content_md5(params: dict[str, Any], **_: Any) -> None:
    """Many servers want Content-MD5 on DeleteObjects, which newer SDKs replaced by checksums of their own: send both."""
    body = params.get("body", b"")
    if isinstance(body, (bytes, bytearray)):
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        params["headers"].setdefault("Content-MD5", base64.b64encode(digest).decode())
