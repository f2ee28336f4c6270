"""extend: a trained model that knows a class more, from a few items of it and without training.

Parameters are ``tlbatch.contracts.models.ExtendParams``. Inputs: ``base``, the model (a finetune artifact, or one of this
step); ``added``, the prepared items of the new class; ``dataset`` and ``pinned``, what the model is judged on;
``overlap:added``, which of the new items are near copies of these; ``source`` where its backbone is an earlier study's. How a
class is added to which head: jobs.heads.adding. No test item is looked at.

Files
-----
``model.safetensors``  as the base's, the head with a class more
``card.json``          the base's, with the class last in ``classes`` and, newest last, ``extended``: [{class, images, units,
                       by: what became of it in the head, base: {step, key, digest}}]
``validation.json``    what it says of the base's validation items, as far as they are in the dataset (see jobs.finetune)
``added.json``         {ids, paths, units: [name of its unit], logits: [k][classes] of a model that was extended by the other
                       units alone, null where there is one unit, copies: [{path, class}] of those that are, or nearly are,
                       training items of another class}
"""

from __future__ import annotations

from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    from tlbatch.contracts.models import ExtendParams

    params = context.read_params(ExtendParams)
    from jobs.extending.extension import extend

    extend(context, params)


if __name__ == "__main__":
    step_main("extend", run)
