"""predict: what a trained model says of pictures nobody labelled. Leaves no artifact: its output is a folder of the user's.

Parameters are those of ``tlbatch.prediction.request``; inputs ``model:<seed>[:<fold>]`` (and ``source``). The listing of the
pictures is in the store, at ``work/<key>/listing.json``. ``--shard I/N`` computes the parts whose number is I modulo N.

What it leaves in ``out``
-------------------------
``predictions/part-<number>.jsonl|parquet``  path, id (of the picture's content), predicted, confidence, a probability a class,
                       in the order of the paths; probabilities are scaled by the model's temperature where it has one
``parts/part-<number>.json``  that a part is done: its key, hash, counts and bad files
``bad.jsonl``          {path, reason} of files that cannot be used, by the rules of prepare
``summary.json``       {model, classes, images, bad, counts: {class: images}, temperature: number or null, probabilities: how
                       they came about, precision, folds, format, chunk, parts: [{file, images, size, sha256}]}
"""

from __future__ import annotations

from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    from jobs.prediction.walking import predict_parts

    context.defer_commit()
    predict_parts(context)


if __name__ == "__main__":
    step_main("predict", run)
