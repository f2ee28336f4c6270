"""pin: fix a schedule's validation and test images at its first firing, and follow what happens to them later.

Parameters ``split`` and ``classes``; inputs ``dataset`` and, from the second firing on, ``before``: the pins of the last one.
Files are byte-equal as long as nothing that is pinned changed, however much was added. Needs neither torch nor numpy.

Files
-----
``pins.json``  {version, classes, validation: [Pin], test: [Pin], changed, sentence}; version counts test sets: a corrected
               label or a removed image of the test set, or a new class, starts the next one. changed is null in the first, else
               {removed: [path], relabelled: [{path, before, after}], new_classes: [name]}: how it came out of the one before.
               Pin {id, label, path, since}: since is the version from which on the picture is in it with this label
"""

from __future__ import annotations

from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    from jobs.data.index import load_index
    from jobs.data.pinning import pin_images, sentence_of
    from jobs.data.pins import PINS_FILE, load_pins

    before = load_pins(context.input("before")) if "before" in context.task.inputs else None
    settings = {**context.params["split"], "classes": context.params["classes"]}
    pins = pin_images(before, load_index(context.input("dataset")), settings)
    sentence = sentence_of(pins)
    context.write_json(PINS_FILE, {**pins.to_json(), "sentence": sentence})
    print(sentence, flush=True)


if __name__ == "__main__":
    step_main("pin", run)
