"""report: compare the runs of a study and tell of it, first sentence first.

Parameters and inputs are those of ``tlbatch.planning.report_task``. Needs no torch.

Files
-----
``report.json``       everything as data (``jobs/reporting/report.schema.json``)
``index.html``        the page: one file, no request to anywhere, light and dark, for phones and paper
``figures/*.svg|png`` every figure
``metrics.csv``       run, role, seed, metric, value, low, high, n
``contrasts.csv``     the planned comparisons
``curve.csv``         accuracy by labels a class, where the study asked for it (jobs.curve)
``episodes.csv``      accuracy in few-shot episodes on held-out classes, where the study asked for them (jobs.episodes)
``believed.csv``      run, source, path, label, missed, weight: what TrAdaBoost left of the weight of each source item
``suspects.csv``      path, label (to be edited, for ``tlbatch data relabel``), labelled (as it was), and why it is suspect
``cards/<run>.md``    a model card of every trained run

Of several tasks all this is the main one's, but for the table and the comparisons in ``report.json``, which are of all tasks;
what is the same of another task is in a folder of its name.
"""

from __future__ import annotations

from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    from jobs.reporting.analysis import analyses
    from jobs.reporting.cards import write_cards
    from jobs.reporting.document import build_document
    from jobs.reporting.output import Folder
    from jobs.reporting.page import write_page
    from jobs.reporting.sources import load_sources
    from jobs.reporting.spreadsheets import write_spreadsheets

    sources = load_sources(context)
    context.progress(0, 4, "parts", "comparing")
    found = analyses(sources)
    for number, analysis in enumerate(found):
        output = Folder(context, f"{analysis.sources.params.task}/" if number else "")
        output.write_json("report.json", build_document(analysis))
        context.progress(1, 4, "parts", "writing tables and cards")
        write_spreadsheets(output, analysis)
        write_cards(output, analysis)
        context.progress(2, 4, "parts", "drawing")
        write_page(output, analysis)
    context.progress(4, 4, "parts", "done", force=True)
    print(found[0].findings.first_sentence, flush=True)


if __name__ == "__main__":
    step_main("report", run)
