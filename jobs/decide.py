"""decide: whether the challenger of this firing takes the champion's place. Needs no torch.

Parameters ``rule`` (the study's ``schedule`` without its times), ``tests`` {version: the newest test set before this firing or
null, count: how many tests it has served}, ``runs`` (the study's own) and ``champion`` {serial, run, seed, models} or null.
Inputs ``pinned``, ``evaluate:<run>``, ``finetune:<run>:<seed>[:<fold>]`` and ``champion``, its evaluation on this test set.

The challenger is the run that is best on validation by ``promote_on`` (mean of its seeds), and of it the best seed; the test
set chooses nothing. ``promote: not_worse``: its value on the test set is not lower than the champion's, no class is harmed
(one-sided exact McNemar of each class's units, Benjamini-Hochberg at the level) and none beyond its bound; ``better`` also
asks for ``min_gain`` and a paired test below the level. The k-th test of a test set has level alpha 6 / (pi^2 k^2).

Files
-----
``decision.json``  {outcome: first | promoted | refused | same (the challenger is the champion's own model),
                   why: null | worse | class harmed | class bound | gain | not shown, sentence,
                   challenger: {run, seed, models: {role: {step, key, digest}}, evaluation: {step, key, digest},
                   metrics: {metric: {value, low, high}}, validation: {metric: value, n} or null},
                   champion: {the same without validation, serial} or null,
                   test: {version, images, count: tests served, this one included, level: of the last one, null before any},
                   estimate: {metric, challenger, champion, difference, gain, low, high, p, gained, lost} or null; difference
                   is challenger - champion with its 95 % interval, gain the same turned so that more is better,
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
