"""suspects: which labels of a study are probably wrong, by logistic regressions on cached features. Needs no torch.

Parameters are ``tlbatch.contracts.evaluation.SuspectsParams``. Inputs ``dataset``, ``pinned`` with a schedule, and of each
judge ``features:<judge>``; where there are several, ``model:<run>:<seed>[:<fold>]`` of all their runs, too: the features of the
run judge that is best on validation, as in the report (jobs.reporting.validation). Every image of the study is judged, by
regressions that have seen neither it nor its copies nor its group (jobs.metrics.label_errors). Networks that were trained
judge by themselves (jobs.evaluate).

Files
-----
``suspects.json``  [{rank, id, path, label, predicted, p_label, p_predicted, margin, part}], most suspect first, at most 200:
                   margin = p(likeliest other class) - p(label)
``judged.json``    {runs: that learnt from the features that judge, the best first, method: and whether a search stopped early,
                   judged: images, parts: [..], found: how many have another class on top}
"""

from __future__ import annotations

from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    from jobs.evaluation.images import load_dataset
    from jobs.evaluation.judges import choose_judge
    from jobs.evaluation.label_errors import judge_by_features, suspects_documents
    from tlbatch import nouns
    from tlbatch.contracts.evaluation import SuspectsParams

    params = context.read_params(SuspectsParams)
    judge, runs = choose_judge(context, params.judges)
    dataset = load_dataset(context, redraw=params.redraw)
    judgement = judge_by_features(context, dataset, f"features:{judge.name}")
    suspects, judged = suspects_documents(dataset, judgement)
    context.write_json("suspects.json", suspects)
    context.write_json("judged.json", {"runs": runs, **judged})
    said = f"{judged['found']} of {nouns.count(judged['judged'])} have a label that another class beats"
    print("; ".join(filter(None, [f"{said}, by the features of {runs[0]}", judgement.odds.stopped_early])), flush=True)


if __name__ == "__main__":
    step_main("suspects", run)
