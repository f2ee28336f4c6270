"""Task documents that somebody spoiled: every step refuses them with a sentence, and none takes it for a bug of its own."""

from __future__ import annotations

import json
import random

import pytest

from tests.faults.conftest import Season, Ward
from tests.faults.records import record
from tests.faults.test_hostile_files import spoiled
from tests.faults.test_kills import STEPS, prediction_case, task_case, tasks_of
from tests.requirements import chaos_only
from tlbatch.prediction.request import STEP as PREDICT

VALUES = (None, [], {}, "", "x", -1, 2**70, 1e308, True, {"a": [1]}, "../../etc/passwd", "\x1b]0;x\x07")
REFUSED = (2, 65, 75, 124)
TIMES = 20  #: documents a step


@chaos_only
@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_spoiled_documents_are_refused(season: Season, ward: Ward, step: str) -> None:
    if step == PREDICT:
        case = prediction_case(season, ward)
    else:
        name = tasks_of(season, step)[0]
        case = task_case(ward, name, season.tasks()[name])
    chance, whole = random.Random(step), ward.store.get(case.document)
    codes: dict[int, int] = {}
    try:
        for number in range(TIMES):
            case.forget()
            path = [chance.randrange(100) for _ in range(chance.randint(1, 5))]
            data = spoiled(json.loads(whole), path, chance.choice(VALUES))
            ward.store.put(case.document, data if number % 4 else whole[: chance.randrange(len(whole))])
            code = case.attempt(0, "before")
            if code == 0:  # what was spoiled decides nothing: the output must be the same
                assert case.equal(), data.decode()
            else:
                assert code in REFUSED, f"{data.decode()}\n{ward.said()}"
            codes[code] = codes.get(code, 0) + 1
    finally:
        case.forget()
        ward.store.put(case.document, whole)
        assert case.attempt(0, "before") == 0, ward.said()
    for code, times in codes.items():
        record(f"step {step}", "task document spoiled", "equal" if code == 0 else f"exit {code} and a sentence", times)
