"""evaluate: what a run's models are worth on the test images, and where they go wrong. Only test images are scored.

Parameters are those of ``tlbatch.contracts.evaluation``: ``run_kind`` is ``trained`` (inputs ``model:<seed>[:<fold>]``, and
``features`` where heads were trained on cached features: no forward pass then) or ``zero_label`` (the pretrained network's own
outputs, the mean over the ``mapping`` of each class, normalised over the classes; its one seed is called 0) or ``champion``:
a schedule's present model on the pinned test set (inputs ``pinned``, its ``model:<seed>[:<fold>]`` and ``earlier``, an
evaluation of it): the earlier one's files where the test set is the same, else new ones, without suspects and gallery; classes
it does not know have probability 0; or ``extended``: a champion that got a class more, not crowned yet (inputs ``dataset``,
``pinned``, its ``model:<seed>[:<fold>]`` of the step extend, and ``before``, the evaluation of what was extended). With folds a
seed's probabilities are the mean over its folds' models. Metrics are of the probabilities as written to ``predictions.json``.

Files
-----
``metrics.json``::

    n, groups         test images, and how many units they form (copies of a picture and images of a group are one)
    classes, counts   names, and test images of each class
    seeds             {seed: {metric: Estimate}}
    mean              {metric: Estimate without k, + sd over seeds (ddof 1; null with one seed), seeds: how many,
                      1 where all gave the very same model}; its
                      interval is that of the mean over other seeds and other test images
    metrics           {metric: {title, better: "higher"|"lower", order}}
    confusion         [c][c] counts of the first seed, rows truth; confusions: {seed: [c][c]}
    per_class         [{class, n, predicted, right, recall: Estimate, precision: Estimate, f1, roc_auc, average_precision}]
                      of the first seed, in the order of classes; the last two are one against the rest; null where not defined
    temperature       of the first seed, null where there is none (no labels used, too few validation
                      images, or the fit ends at its bound)
    calibration       {seed: {temperature, why, before: Reliability, after: Reliability or null}}
    reliability       calibration[first seed].before, for those who want one diagram
    coverage          {seed: {points: [{coverage, accuracy, threshold, n}], aurc}}; the most confident first
    roc               [{class, auc, fpr: [], tpr: []}] of the first seed: the second class alone where there are two, else the
                      mean curve (class null) first, then every class; curves have at most 200 points
    precision_recall  [{class, average_precision, recall: [], precision: []}] likewise, without a mean
    validation        {seed: {accuracy, log_loss, n}} of the selected models on their validation images
    bootstrap         {resamples, level, method}
    suspects          {method, judged: images, parts: [..], found: how many have another class on top}; of networks that were
                      trained and of rows without labels: cached features judge once a study (jobs.suspects)

    Estimate     {value, low, high, n, method}, + k (a count) for shares of images, + perfect, perfect_high for ece and
                 ece_calibrated, + why where value is null (not defined). low and high are null below 10 images (counts only).
    Reliability  {ece, perfect, perfect_high, log_loss, brier, bins: [{low, high, n, confidence, accuracy}]}: 15 bins of equal
                 mass by top-1 confidence; perfect is the mean ECE (perfect_high: the 95 % quantile) that a perfectly calibrated
                 model with these confidences would show on this many images

Metrics: accuracy, balanced_accuracy, macro_precision, macro_recall, macro_f1, weighted_precision, weighted_recall,
weighted_f1; roc_auc, average_precision (of the second class where there are two, else the mean over the classes, each against
the rest); log_loss, brier, ece; and log_loss_calibrated, brier_calibrated, ece_calibrated (after temperature scaling) where
every seed has a temperature; and those of plug-ins that the study names, called ``plugin:name``.

``predictions.json``      {ids, paths, labels, groups, classes, probabilities: {seed: [n][c]}, temperature: {seed: number}}
``predictions.csv``       seed, id, path, group, label, predicted, right, confidence, then p:<class> for each class
``suspects.json``         [{rank, id, path, label, predicted, p_label, p_predicted, margin, part}], most suspect first, at most
                          200: margin = p(likeliest other class) - p(label) by a model that has not seen the image; likewise
``gallery/gallery.json``  {seed, overlay: "Grad-CAM" or null, errors: [Picture], the most confident first, at most 24,
                          samples: [Picture], right predictions of all classes, at most 12,
                          featuremap: {file, picture, path, shape: [c, h, w], shown: channels} or null};
                          Picture {file, plain, id, path, label, predicted, confidence, p_label}: ``file`` has the Grad-CAM
                          overlay of the predicted class where the network has a map, ``plain`` is the picture as it is fed;
                          JPEG, at most 256 pixels a side
``fresh.json``            of a schedule's images that judge before they train, where there are any: {ids, labels, groups,
                          classes, probabilities, metrics: {seed: {metric: Estimate}}}
``extension.json``        of ``extended`` alone: {class, images, units, by: what became of it in the head, recall: Estimate of
                          its own items, each unit held out in turn, null of one unit, cost: {n, taken: test items that were
                          right and are taken for it now, before, after: accuracies, difference: {value, low, high, p, groups}},
                          sentence}
``featuremap.png``        channels of the last map of one test image as a grid; absent where the network has no map
"""

from __future__ import annotations

from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    from jobs.heads.cores import one_thread
    from tlbatch.contracts.evaluation import EvaluateParams
    from tlbatch.plugins import check_used

    params = context.read_params(EvaluateParams)
    check_used(params.plugins)
    kinds = {"trained": _trained, "zero_label": _zero_label, "champion": _champion, "extended": _extended}
    with one_thread():  # so that bits do not depend on how many there are; networks run on all, each thread on its own
        kinds[params.run_kind](context)


def _trained(context: Context) -> None:
    from jobs.evaluation.trained import evaluate_trained

    evaluate_trained(context)


def _zero_label(context: Context) -> None:
    from jobs.evaluation.zero_label import evaluate_zero_label

    evaluate_zero_label(context)


def _champion(context: Context) -> None:
    from jobs.evaluation.champion import evaluate_champion  # without torch where nothing has to be computed

    evaluate_champion(context)


def _extended(context: Context) -> None:
    from jobs.evaluation.extended import evaluate_extended

    evaluate_extended(context)


if __name__ == "__main__":
    step_main("evaluate", run)
