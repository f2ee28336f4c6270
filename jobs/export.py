"""export: a champion's networks as files that need no tlbatch. No step: a program that ``tlbatch champion pull`` starts.

``python -m jobs.export --request FILE --out DIR``; the request is ``champions.exporting.Request`` as JSON. Leaves in ``out``:

``model.safetensors``        backbone and head together, also where only a head was trained; ``model-fold<i>.safetensors``, one
                             a fold, where it was trained in folds
``model.onnx``               where asked for: ``pixels`` uint8 [images, channels, size, size] to ``probabilities`` [images,
                             classes] (the folds' mean), and ``calibrated`` (after temperature scaling) where there is one
``model.json``               the card (jobs.exporting.card), with the sha256 of the other files and how far they agree with
                             the model as it was evaluated
``README.md``                the same for people, and how to use the files

Beside the request ``outcome.json``, {code, sentence}: how it ended.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from pathlib import Path

from jobs.exporting.needs import missing
from tlbatch import output
from tlbatch.champions.exporting import OUTCOME
from tlbatch.errors import TlbatchError, TransientError, no_room


def main(argv: list[str] | None = None) -> int:
    """0, or the exit code of tlbatch.errors; ``outcome.json`` has the sentence."""
    parser = argparse.ArgumentParser(prog="python -m jobs.export", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--request", required=True, type=Path, metavar="FILE", help="champions.exporting.Request as JSON")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="an empty folder for the files")
    arguments = parser.parse_args(argv)
    code, sentence = _export(arguments.request, arguments.out)
    outcome = arguments.request.with_name(OUTCOME)  # not in the folder, which may be full
    outcome.write_text(json.dumps({"code": code, "sentence": sentence}), encoding="utf-8")
    return code


def _export(request: Path, out: Path) -> tuple[int, str]:
    try:
        _needed()
        from jobs.exporting.champion import export
        from tlbatch.champions.exporting import Request

        with tempfile.TemporaryDirectory(prefix="tlbatch-export-") as scratch:
            export(Request.from_json(request.read_bytes()), out, Path(scratch))
    except TlbatchError as error:
        return error.exit_code, str(error)
    except Exception as error:  # noqa: BLE001 - the last line of defence: told to who started this
        if no_room(error):
            return TransientError.exit_code, f"no space left for the export ({error}): make room, or name another folder"
        traceback.print_exc()
        return 1, f"a bug in the export ({type(error).__name__}: {error})"
    return 0, "done"


def _needed() -> None:
    """Raises StudyError where a package is missing."""
    try:
        import safetensors.torch  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing(error) from error


if __name__ == "__main__":
    output.install()
    sys.exit(main())
