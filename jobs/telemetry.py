"""Libraries that tell their makers of their use, loaded so that they do not: nobody hears of what is computed."""

from __future__ import annotations

import os
import sys
from typing import Any


def load_openvino() -> Any:
    """The package, without the one beside it that tells of every import and conversion. Raises ImportError."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # not to be found: a stub takes its place
    import openvino

    return openvino


def load_onnxruntime() -> Any:
    """The package. Since 1.32 its import starts a thread that tells of sessions, and keeps what it could not send, with a
    number for this machine, in the home folder. Raises ImportError.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime
