"""episodes: how well classes that nothing was trained on are told apart from a few labels of each. Needs no torch.

Parameters are ``tlbatch.contracts.episodes.EpisodesParams``. Inputs ``dataset``, for each run ``features:<run>`` and, where it
has a control, ``control:<run>``: features of the same network with random weights, on which the same heads are judged in the
same episodes. An episode draws some of the held-out classes and of each a few labelled items and others to judge by
(jobs.fewshot.drawing). Nothing is chosen on it. The items of classes that train are not looked at.

Files
-----
``episodes.json``::

    ways, shots, queries, count
    classes           held-out class -> its items, copies and groups counted once
    learnt            the classes that the runs trained on
    left_out          items of held-out classes that are in no episode, being (near) copies of items of other classes
    runs              [{name, trained: whether its network was, control: name or null, points}]
    points            [{head, shots, accuracy: Interval, control: Interval or null,
                        gain: Interval + p, p_adjusted (Holm over the run's points), or null,
                        verdict: helped | harmed | open, or null without a control}]
    Interval          {value, low, high: 95 %, for other classes like these, episodes: {low, high}: 95 %, for other episodes of
                       these classes and items, as papers have it, sd: over episodes}

``episodes.csv``       run, role, head, shots, accuracy, low, high, episodes_low, episodes_high, sd, gain, gain_low, gain_high,
                       p, p_adjusted
``accuracies.json``    {episodes: [{classes, support: [class][ids], query: [class][ids]}],
                       series: {run: {head: {shots: [accuracy]}}}}; a run's control is called <run>/control
"""

from __future__ import annotations

from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    from jobs.data.index import load_index
    from jobs.fewshot.document import accuracies_of, csv_of, document_of
    from jobs.fewshot.drawing import check_pool, draw_episode, pool_of
    from jobs.fewshot.fits import judge
    from jobs.fewshot.sentences import sentences_of
    from tlbatch.contracts.episodes import EpisodesParams
    from tlbatch.roles import DATASET

    params = context.read_params(EpisodesParams)
    pool, most = pool_of(load_index(context.input(DATASET)), params.classes), params.shots[-1]
    check_pool(pool, most, params.queries)
    episodes = [draw_episode(pool, n, params.ways, most, params.queries, params.seed) for n in range(params.count)]
    total, done = params.count * sum(1 + (each.control is not None) for each in params.runs), 0

    def tick() -> None:
        nonlocal done
        done += 1
        context.check_stop()
        context.progress(done, total, "episodes")

    judged = {}
    for each in params.runs:
        own = judge(context, f"features:{each.name}", params, episodes, tick)
        held = judge(context, f"control:{each.name}", params, episodes, tick) if each.control is not None else None
        judged[each.name] = own, held
    document = document_of(params, pool, episodes, judged)
    document["sentences"] = sentences_of(document)
    context.write_json("episodes.json", document)
    context.write_json("accuracies.json", accuracies_of(episodes, judged))
    context.out("episodes.csv").write_text(csv_of(document), encoding="utf-8")
    for sentence in document["sentences"]:
        print(sentence, flush=True)


if __name__ == "__main__":
    step_main("episodes", run)
