"""advise: which backbone, which layer, and how, from the probes of all candidates. Needs no torch, and sees no test image.

Parameters: ``tlbatch.contracts.advice.AdviseParams``; inputs ``probe:<candidate>``, nothing else.

Files
-----
``advice.json``   format, study, classes, images {read, units, whole}, recommended {name, layer, how, probe, …}, best, ties,
                  comparisons (best minus each other: a paired Difference, Holm-adjusted), gain_over_random, candidates (each
                  with its layers and scores), scores (what each would pick, points below the best by the probe, tau, whether
                  it beats ImageNet top-1), runs (of a study that does it), sentences
``report.json``   first sentence, table and sentences, as every report has them
``index.html``    the page: one file that asks nothing of anyone
``figures/``      the layer curve, as SVG and PNG
"""

from __future__ import annotations

from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    from jobs.advice.baselines import rankings
    from jobs.advice.choice import choose
    from jobs.advice.document import advice_document, report_document
    from jobs.advice.judging import judge, load_images
    from jobs.advice.page import write_page
    from jobs.advice.sentences import sentences
    from tlbatch.contracts.advice import AdviseParams

    params = context.read_params(AdviseParams)
    probes = {each.name: context.input(f"probe:{each.name}") for each in params.candidates}
    images = load_images(probes[params.candidates[0].name], params.classes)
    judged = []
    for number, asked in enumerate(params.candidates):
        context.check_stop()

        def tick(layer: str, done: int = number, title: str = asked.title) -> None:
            context.progress(done, len(params.candidates), "candidates", f"{title}, {layer}")
            context.check_stop()

        judged.append(judge(asked, probes[asked.name], images, params.layers, tick))
    choice = choose(judged, images)
    ranked = rankings(choice.contenders, {each.name: each.accuracy for each in choice.contenders})
    said = sentences(choice, ranked, images)
    context.write_json("advice.json", advice_document(params, images, judged, choice, ranked, said))
    report = report_document(params, choice, judged, said)
    context.write_json("report.json", report)
    write_page(context, params, judged, choice, ranked, report)
    context.progress(len(judged), len(judged), "candidates", "done", force=True)
    print(said[0], flush=True)


if __name__ == "__main__":
    step_main("advise", run)
