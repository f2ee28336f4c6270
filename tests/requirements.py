"""What a test needs and a machine may lack: skipped with one line that says what and how to get it, unless it is required."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

CHAOS = bool(os.environ.get("TLBATCH_CHAOS"))  #: everything, and at full length: minutes a test
chaos_only = pytest.mark.skipif(
    not CHAOS, reason="takes minutes: runs with TLBATCH_CHAOS=1 (make chaos, make claims, make chaos-cluster)"
)


def missing(name: str, text: str) -> NoReturn:
    """Skip; fail where TLBATCH_REQUIRE (a comma-separated list) names ``name``: what must run cannot be skipped silently."""
    if name in os.environ.get("TLBATCH_REQUIRE", "").split(","):
        pytest.fail(f"TLBATCH_REQUIRE wants {name}: {text}")
    pytest.skip(text)
