"""decide: whether the challenger of this firing takes the champion's place. Needs no torch.

Parameters ``rule`` (the study's ``schedule`` without its times), ``uses`` {version of the test set: tests it has served},
``runs`` (the study's own) and ``champion`` {serial, run, seed, models} or null. Inputs ``pinned``, ``evaluate:<run>``,
``finetune:<run>:<seed>[:<fold>]`` and ``champion``, its evaluation on this test set.

The challenger is the run that is best on validation by ``promote_on`` (mean of its seeds), and of it the best seed; the test
set chooses nothing. ``promote: not_worse``: its value on the test set is not lower than the champion's, no class is harmed
(one-sided exact McNemar of each class's units, Benjamini-Hochberg at the level) and none beyond its bound; ``better`` also
asks for ``min_gain`` and a paired test below the level. The k-th test has level alpha 6 / (pi^2 k^2), which over all k adds up
to alpha; k is one more than the tests that the test images have served, on average: a version that differs from the one
before by one image is as worn as that.

Files
-----
``decision.json``  {outcome: first | promoted | refused | same (the challenger is the champion's own model),
                   why: null | worse | class harmed | class bound | gain | not shown, sentence,
                   challenger: {run, seed, models: {role: {step, key, digest}}, evaluation: {step, key, digest},
                   metrics: {metric: {value, low, high}}, validation: {metric: value, n} or null},
                   champion: {the same without validation, serial} or null,
                   test: {version, images, count: tests this version has served, this one included, k, level: of the k-th
                   test, null before any},
                   estimate: {metric, challenger, champion, difference, gain, low, high, p, gained, lost} or null; difference
                   is challenger - champion with its 95 % interval, gain the same turned so that more is better, p how
                   likely so much gain is between equal models (one-sided),
                   classes: [{class, n, champion, challenger: recalls, lost, gained: units, p, p_adjusted, harmed, bound,
                   beyond_bound}], candidates: [{run, seed, validation}], rule}
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
