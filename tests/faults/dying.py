"""``python -m tests.faults.dying``: forks steps that are killed (SIGKILL) at their n-th write to the store.

Requests are JSON lines on stdin: ``{"step", "arguments", "at", "when"}``; ``at`` counts writes (put, upload, delete) from 1, 0
kills nowhere; ``when`` is before or after the write. Answers: ``{"code"}``, negative for a signal. Torch is imported once.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import sys
import threading
from typing import Any

WRITES = ("put", "upload", "delete")


def die_at(at: int, when: str) -> None:
    """From now on this process kills itself at its ``at``-th write to any store."""
    from tlbatch.store.directory import DirectoryStore

    kinds: list[Any] = [DirectoryStore]
    if "boto3" in sys.modules or os.environ.get("AWS_ENDPOINT_URL_S3"):
        from tlbatch.store.s3 import S3Store

        kinds.append(S3Store)
    count, lock = itertools.count(1), threading.Lock()

    def deadly(method: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            with lock:
                due = next(count) == at
            if due and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = method(*args, **kwargs)
            if due:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for kind in kinds:
        for name in WRITES:
            setattr(kind, name, deadly(getattr(kind, name)))


def often() -> None:
    """Checkpoints at every chance instead of every 45 s, a part for every file: a kill can fall between any two batches."""
    import jobs.preparation.reading
    from jobs.training.checkpoints import Keeper

    jobs.preparation.reading.PART_S = 0.0
    Keeper.__init__.__kwdefaults__.update(step_every_s=0.0, epoch_every_s=0.0)  # type: ignore[union-attr]


def main() -> None:
    from jobs.warm import PRELOAD

    for name in PRELOAD:
        importlib.import_module(name)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(request)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _become(request: dict[str, Any]) -> None:
    code = 1
    try:
        from jobs.runtime import step_main

        output = os.open(request["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        often()
        die_at(request["at"], request["when"])
        module = importlib.import_module(f"jobs.{request['step']}")
        step_main(request["step"], module.run, request["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
