"""curve: how accurate heads are with few labels a class, and what more labels would bring. Needs no torch.

Parameters are ``tlbatch.contracts.curve.CurveParams``. Inputs ``dataset`` (with a schedule ``pinned``), for each run
``features:<run>`` and, where it has a control, ``control:<run>``: features of the same network with random weights, on which
the same head is fitted to the same labels; ``scratch:<run>:<labels>``: evaluations of networks that were trained from random
weights on the first draws of so many labels, a draw a seed. Labels are drawn from the training images by content
(jobs.curves.draws); what a head chooses, it chooses on the labels drawn; the test images are scored, and choose nothing.
Stopped anywhere, a later start goes on from the fits that are done and leaves the very same files.

Files
-----
``curve.json``::

    labels, left_out  numbers of labels a class that were fitted, and [{labels, class, images}] that a class has too few for
    draws, classes, images: {train: {class: n}, test}, units: of the test images
    runs              [{name, control: name or null, head, points, law, twice, all, classes, sentences: [..]}]
    points            [{labels, overlap: share of the training images that a draw takes, chosen: [what each draw's head chose],
                        accuracy: Interval + sd over draws, control: Interval + sd or null,
                        gain: Interval + p, p_adjusted (Holm over the numbers of labels) or null,
                        verdict: helped | harmed | open or null}]
    law               {a, b, c, fitted: [labels], missed} of a - b n^-c; null where there are fewer than four points
    twice, all        {labels, over, gain: Interval, accuracy: Interval}: predicted of twice the labels, and of as many as the
                      smallest class trains with, where these are more than were fitted; or null
    classes           [{class, n: test images, recall: at most labels, slope: of the recall, a doubling of the
                        labels: Interval + p, p_adjusted (Holm over the classes), verdict: gains | loses | open}]
    scratch           of runs that have one: {name, draws, points: [{labels, control: its Interval + sd, gain, verdict}],
                      crossing: {low, high, value}, beyond: {value, low, high, horizon} or null} (jobs.statistics.crossing)
    Interval          {value, low, high}: 95 %, over draws of labels and test units

``curve.csv``          run, role, labels, accuracy, low, high, sd, draws, gain, gain_low, gain_high, p, p_adjusted
``predictions.json``   {ids, labels, groups: of the test images, classes, series: {run: {labels: [draw][image]}}}: the predicted
                       class by its place in ``classes``; a run's control is called <run>/control
"""

from __future__ import annotations

from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    from jobs.curves.analysis import analyse
    from jobs.curves.files import csv_of, predictions_of
    from jobs.curves.fits import fit_all
    from jobs.curves.labelled import load_labelled
    from jobs.curves.scratch import load_scratch
    from tlbatch.contracts.curve import CurveParams

    params = context.read_params(CurveParams)
    labelled = load_labelled(context, params)
    for left in labelled.left_out:
        print(f"{left['labels']} labels a class are left out: {left['class']} trains with {left['images']}", flush=True)
    predicted = fit_all(context, params, labelled)
    document = analyse(params, labelled, predicted, load_scratch(context, params, labelled))
    context.write_json("curve.json", document)
    context.write_json("predictions.json", predictions_of(labelled, predicted))
    context.out("curve.csv").write_text(csv_of(document), encoding="utf-8")
    for each in document["runs"]:
        for sentence in each["sentences"]:
            print(sentence, flush=True)


if __name__ == "__main__":
    step_main("curve", run)
