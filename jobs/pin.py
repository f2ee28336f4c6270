"""pin: fix a schedule's validation and test images at its first firing, and follow what happens to them later.

Parameters are ``tlbatch.contracts.data.PinParams``; inputs ``dataset`` and, from the second firing on, ``before``: the pins of
the last one; and ``added:<number>``, prepared items that the champion got a class from: of a new class these are not pinned.
Files are byte-equal as long as the images are the same. Needs neither torch nor numpy.

Files
-----
``pins.json``  {version, classes, validation: [Pin], test: [Pin], changed, fresh: [Pin], arrivals, sentence}; version counts
               test sets: a corrected label or a removed image of the test set, or a new class, starts the next one. changed is
               null in the first, else {removed: [path], relabelled: [{path, before, after}], new_classes: [name]}: how it came
               out of the one before, + renewed: the version that it took the place of as a whole. fresh: new images that judge
               and have not trained. Pin {id, label, path, since}: since is the version from which on the picture is in it with
               this label; of fresh ones the number of its arrival, of which there were ``arrivals``. Of several tasks also
               ``tasks``: [{name, classes}], and of a Pin {task: label}, those that are known; label is the main one's, or ""
``known.txt``  the first 16 digits of the id of every image that a firing so far has met
"""

from __future__ import annotations

from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    from jobs.data.index import load_index
    from jobs.data.pinning import pin_images, sentence_of, used_of
    from jobs.data.pins import KNOWN_FILE, PINS_FILE, load_known, load_pins, short
    from tlbatch.contracts.data import PinParams

    params, there = context.read_params(PinParams), "before" in context.task.inputs
    before, known = (load_pins(context.input("before")), load_known(context.input("before"))) if there else (None, None)
    entries = load_index(context.input("dataset"))
    learnt = frozenset(entry.id for role in context.roles("added:") for entry in load_index(context.input(role)))
    pins = pin_images(
        before,
        entries,
        {**params.division, "tasks": {task.name: task.classes for task in params.tasks}},
        known=known,
        share=params.fresh or 0.0,
        renew=params.renew,
        learnt=learnt,
    )
    met = (known or frozenset()) | {short(entry.id) for entry in used_of(entries, params.classes)}
    context.out(KNOWN_FILE).write_text("".join(f"{id_}\n" for id_ in sorted(met)), encoding="ascii")
    sentence = sentence_of(pins)
    context.write_json(PINS_FILE, {**pins.to_json(), "sentence": sentence})
    print(sentence, flush=True)


if __name__ == "__main__":
    step_main("pin", run)
