"""Logins in addresses (``https://user:password@host``): refused where addresses are given, left out of what is repeated.

Addresses are in sentences, logs, manifests, plans and reports. None of those that tlbatch takes needs a login.
"""

from __future__ import annotations

import re

from tlbatch.errors import StudyError

KEYS = "keys as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
SERVER = f"write http://HOST:PORT or https://HOST, and {KEYS}"

_LOGIN = re.compile(r"(?<=//)[^/@\s]*@|(?<![^\s'\"(=])[^\s'\"(=/@:]+:[^\s/@'\"]+@")
"""What stands between ``//`` and an ``@``; and, where there is no ``//``, ``user:password@``."""


def has_login(address: str) -> bool:
    """Whether something stands before an ``@``: of the bucket or, as passwords may hold a slash, anywhere in a server's."""
    scheme, _, rest = address.partition("://")
    return "@" in (rest.partition("/")[0] if scheme == "s3" else rest) or _LOGIN.match(address) is not None


def check_no_login(address: str | None, where: str, instead: str) -> None:
    """Raises StudyError, which says ``instead`` and does not repeat the address."""
    if address and has_login(address):
        raise StudyError(f"{where} holds a login (what stands before its @), which would be in logs and plans: {instead}")


def without_logins(text: str) -> str:
    """``text`` with ``…`` in place of logins."""
    return _LOGIN.sub("…@", text)
