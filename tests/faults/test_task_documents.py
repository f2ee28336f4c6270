"""Task documents that somebody spoiled: every step refuses them with a sentence, and none takes it for a bug of its own."""

from __future__ import annotations

import json
import random

import pytest

from tests.faults.conftest import Season, Ward
from tests.faults.records import record
from tests.faults.test_hostile_files import spoiled
from tests.faults.test_kills import STEPS
from tests.requirements import chaos_only
from tlbatch.tasks import task_name

VALUES = (None, [], {}, "", "x", -1, 2**70, 1e308, True, {"a": [1]}, "../../etc/passwd", "\x1b]0;x\x07")
REFUSED = (2, 65, 75, 124)
TIMES = 20  #: documents a step


@chaos_only
@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_spoiled_documents_are_refused(season: Season, ward: Ward, step: str) -> None:
    ref = next(ref for _, ref in sorted(season.tasks().items()) if ref.step == step)
    name, chance = task_name(ref.key), random.Random(step)
    whole = ward.store.get(name)
    codes: dict[int, int] = {}
    try:
        for number in range(TIMES):
            ward.forget(ref)
            path = [chance.randrange(100) for _ in range(chance.randint(1, 5))]
            data = spoiled(json.loads(whole), path, chance.choice(VALUES))
            ward.store.put(name, data if number % 4 else whole[: chance.randrange(len(whole))])
            code = ward.attempt(ref)
            if code == 0:  # what was spoiled decides nothing: the output must be the same
                assert ward.manifest(ref).digest == ref.digest
            else:
                assert code in REFUSED, f"{data.decode()}\n{ward.said()}"
            codes[code] = codes.get(code, 0) + 1
    finally:
        ward.forget(ref)
        ward.store.put(name, whole)
        assert ward.attempt(ref) == 0, ward.said()
    for code, times in codes.items():
        record(f"step {step}", "task document spoiled", "equal" if code == 0 else f"exit {code} and a sentence", times)
