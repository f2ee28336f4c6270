"""``python -m jobs.rank_advice``: what each score of an advice was worth, by what came out. JSON in, JSON out.

In: {candidates: as in ``advice.json``, truth: {candidate: accuracy}}. Out: [Ranking] (jobs.advice.baselines).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tlbatch import output


def main() -> None:
    from jobs.advice.baselines import rank_scores, stored_values
    from jobs.reporting.document import finite
    from tlbatch.store.documents import parse

    asked = parse(sys.stdin.read())
    values = stored_values(asked["candidates"])
    ranked: list[Any] = [each.__dict__ | {"title": each.title} for each in rank_scores(values, asked["truth"])]
    json.dump(finite(ranked), sys.stdout)


if __name__ == "__main__":
    output.install()
    main()
