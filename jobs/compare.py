"""compare: executions of any studies, of any stores, side by side. No task: ``tlbatch report compare`` starts it.

``python -m jobs.compare EXECUTION EXECUTION… [--html FILE]``, each an execution's place, ``<store>/executions/<id>``.
Prints the comparison as JSON; ``--html`` writes a page instead. Needs no torch.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from pathlib import Path

from tlbatch import output
from tlbatch.errors import StudyError, TlbatchError


def main(argv: list[str] | None = None) -> int:
    """Exit codes are those of tlbatch.errors; what went wrong is one sentence on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.compare", description="Executions side by side, as JSON or as a page."
    )
    parser.add_argument("executions", nargs="+", metavar="EXECUTION", help="<store>/executions/<id>")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a self-contained page instead")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(argv)
    try:
        _run(arguments.executions, arguments.html)
    except TlbatchError as error:
        if arguments.debug:
            traceback.print_exc()
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _run(places: list[str], html: Path | None) -> None:
    try:
        from jobs.comparing.analysis import compare
        from jobs.comparing.document import build_document
        from jobs.comparing.page import render_page
        from jobs.comparing.sides import load_sides
    except ModuleNotFoundError as error:
        raise StudyError(f"comparing needs {error.name}: pip install 'tlbatch[data]'") from error
    from tlbatch.kinds import speak_of
    from tlbatch.reports.listing import find_reports
    from tlbatch.store import open_store
    from tlbatch.store.cache import open_cache

    with tempfile.TemporaryDirectory(prefix="tlbatch-compare-") as scratch:
        sides = load_sides(find_reports(open_store("."), places), open_cache(Path(scratch)))
        speak_of(sides[0].sources.kind)
        comparison = compare(sides)
        if html is None:
            print(output.json_printable(json.dumps(build_document(comparison), ensure_ascii=False, sort_keys=True)))
        else:
            html.write_text(render_page(comparison, Path(scratch) / "figures"), encoding="utf-8")


if __name__ == "__main__":
    output.install()
    sys.exit(main())
