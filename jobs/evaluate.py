"""evaluate: what a run's models are worth on the test images, and where they go wrong. Only test images are scored.

Parameters and inputs are those of ``tlbatch.planning.make``: ``run_kind`` is ``trained`` (inputs ``model:<seed>[:<fold>]``, and
``features`` where the run's heads were trained on cached features) or ``zero_label`` (the pretrained network's own outputs, summed
over the ``mapping`` of each class and normalised over the classes; its one seed is called 0). With folds the probabilities of a
seed are the mean over its folds' models. All numbers are computed from the probabilities as written to ``predictions.json``.

Files
-----
``metrics.json``::

    n, groups                 test images, and how many units they form (copies and images of one group are one unit)
    classes, counts           names, and test images of each class
    seeds                     {seed: {metric: Estimate}}
    mean                      {metric: Estimate without k, + sd over seeds (ddof 1; null with one seed), seeds}; its interval is that
                              of the mean of these models over other test images
    metrics                   {metric: {title, better: "higher"|"lower"}} in the order for tables
    confusion                 [c][c] counts of the first seed, rows truth; confusions: {seed: [c][c]}
    per_class                 [{class, n, predicted, right, recall: Estimate, precision: Estimate, f1, roc_auc, average_precision}] of
                              the first seed, in the order of classes; roc_auc and average_precision are one against the rest
    temperature               of the first seed, null where there is none (zero labels, no validation images)
    calibration               {seed: {temperature, why, before: Reliability, after: Reliability or null}}
    reliability               = calibration[first seed].before, for those who want one diagram
    coverage                  {seed: {points: [{coverage, accuracy, threshold, n}], aurc}}; the most confident first
    roc                       [{class, auc, fpr: [], tpr: []}] of the first seed: the second class alone where there are two,
                              else ``macro`` (class null) first, then every class; curves have at most 200 points
    precision_recall          [{class, average_precision, recall: [], precision: []}] likewise
    validation                {seed: {accuracy, log_loss, n}} of the selected models on their validation images, for choosing
    bootstrap                 {resamples, level, method}
    suspects                  {method, judged: images, parts: [..], found: how many have another class on top}
    network                   {parameters, ...} is not here: see the card of the finetune artifact

    Estimate     {value, low, high, n, method} (+ k, the count, for shares of images; + perfect, perfect_high for ece*).
                 value is null where it is not defined (why says it); low and high are null below 10 images (counts only).
    Reliability  {ece, perfect, perfect_high, log_loss, brier, bins: [{low, high, n, confidence, accuracy}]}: 15 bins of equal mass
                 by top-1 confidence; perfect is the mean ECE (perfect_high: 95 %) a perfectly calibrated model with these
                 confidences would show on this many images.

Metrics: accuracy, balanced_accuracy, macro_precision, macro_recall, macro_f1, weighted_precision, weighted_recall, weighted_f1,
roc_auc, average_precision (of the second class where there are two, else the mean over classes, one against the rest), log_loss, brier,
ece; and log_loss_calibrated, brier_calibrated, ece_calibrated after temperature scaling where there is a temperature.

``predictions.json``  {ids, paths, labels, groups, classes, probabilities: {seed: [n][c]}, temperature: {seed: number or null}}
``predictions.csv``   seed, id, path, group, label, predicted, right, confidence, then p:<class> for each class
``suspects.json``     [{id, path, label, predicted, p_label, p_predicted, margin, part, rank}], most suspect first, 200 at most; margin =
                      p(best other class) - p(given label) by a model that has not seen the image
``gallery/gallery.json``  {errors: [{file, plain, id, path, label, predicted, confidence, p_label}] most confident first, 24 at most;
                      samples: [{file, plain, id, path, label, predicted, confidence, p_label}] right predictions of all classes, 12 at most;
                      overlay: "Grad-CAM" or null; seed; featuremap: {file: "featuremap.png", picture, path, shape: [c, h, w],
                      shown: channels} or null}. ``file`` has the Grad-CAM overlay of the predicted class where the network has a map,
                      ``plain`` is the picture as the network is fed it; JPEG, 256 pixels a side at most
``featuremap.png``    channels of the last map of one test image, a grid; absent where the network has no map
"""
