"""decide: whether the challenger of this firing takes the champion's place. Needs no torch.

Parameters are ``tlbatch.contracts.evaluation.DecideParams``. Inputs ``pinned``, ``evaluate:<run>``,
``finetune:<run>:<seed>[:<fold>]`` and ``champion``, its evaluation on this test set.

The challenger is the run that is best on validation by ``promote_on`` (mean of its seeds), and of it the best seed; the test
set chooses nothing. It is refused where, on the pinned test images, counting units (the first that holds is ``why``):

class lost     the champion got a class without training that the dataset, and so the challenger, has not
worse          it is shown to be worse than the champion (exact one-sided sign-flip test, p <= 0.2)
class bound    a class loses more recall than ``class_bound``, and p <= 2 alpha, with more than ten bounded classes 20 alpha /
               classes (but not below the next line's level): no single image shows that
class harmed   a loss of a class is shown: p <= ``alpha``, with more than forty classes 40 alpha / classes
fallen         the last challengers are shown to be below the best level that challengers had on these images
gain           (``promote: better``) no gain, or less than ``min_gain``
not shown      (``promote: better``) the gain is not shown, p > ``alpha``

No level depends on how often the images were asked. A gain is counted from what the champion would score without the luck of
having been chosen there (jobs.statistics.sequential). tests/jobs/promotion/test_operating.py has what follows from the rule.
Images that judge before they train (``fresh.json`` of the evaluations) are reported and decide nothing.

Files
-----
``decision.json``  {outcome: first | promoted | refused | same (the challenger is the champion's own model),
                   why: null or as above, sentence,
                   challenger: {run, seed, models: {role: {step, key, digest}}, evaluation: {step, key, digest},
                   metrics: {metric: {value, low, high}}, fresh: {images, enough: to be its first number, metrics} or null,
                   validation: {metric: value, n} or null},
                   champion: {the same without validation, serial} or null,
                   test: {version, images, count: tests this version has served, this one included, k: tests its images have
                   served on average, rounded up, level: alpha, null before any, fresh: images},
                   estimate: {metric, challenger, champion, difference, gain, low, high, p, p_worse, gained, lost, units, luck}
                   or null; difference is challenger - champion with its 95 % interval, gain the same turned so that more is
                   better, p (p_worse) how likely so much (little) gain is between equal models (one-sided),
                   classes: [{class, n, champion, challenger: recalls, lost, gained: units, p, p_adjusted, harmed, bound,
                   beyond_bound, coarse: one image is more than the bound}], stream: {scores: of the last 20 challengers, the
                   newest last, more is better, count, floor, metric, classes, version} or null, renew: advice or null,
                   corrected: {metric, value, low, high} of who stands after it, without the luck of having been chosen on these
                   images, or null,
                   candidates: [{run, seed, validation}], rule}
"""

from __future__ import annotations

from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    from jobs.promotion.decision import decide

    document = decide(context)
    context.write_json("decision.json", document)
    print(document["sentence"], flush=True)


if __name__ == "__main__":
    step_main("decide", run)
