"""A part's file, as JSON lines or as Parquet. Equal predictions give equal bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence

from jobs.prediction.computing import PredictedPart


def as_jsonl(said: PredictedPart, classes: Sequence[str]) -> bytes:
    """A line an image: {path, id, predicted, confidence, probabilities: {class: number}}."""
    lines = []
    for path, identity, row in zip(said.paths, said.ids, said.probabilities.tolist(), strict=True):
        best = row.index(max(row))
        document = {"path": path, "id": identity, "predicted": classes[best], "confidence": row[best]}
        document["probabilities"] = dict(zip(classes, row, strict=True))
        lines.append(json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n")
    return "".join(lines).encode()


def as_parquet(said: PredictedPart, classes: Sequence[str]) -> bytes:
    """Columns path, id, predicted (strings), confidence, then p:<class> (float64), as in evaluate's predictions.csv."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    best = said.probabilities.argmax(axis=1)
    columns = {
        "path": pa.array(said.paths, pa.string()),
        "id": pa.array(said.ids, pa.string()),
        "predicted": pa.array([classes[place] for place in best], pa.string()),
        "confidence": pa.array(said.probabilities.max(axis=1), pa.float64()),
        **{f"p:{name}": pa.array(said.probabilities[:, place], pa.float64()) for place, name in enumerate(classes)},
    }
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target, compression="zstd")
    return target.getvalue()


WRITERS: dict[str, Callable[[PredictedPart, Sequence[str]], bytes]] = {"jsonl": as_jsonl, "parquet": as_parquet}
