"""``python -m tests.bench.page FOLDER``: what benches measured there into `docs/speed.json`, and of all that is kept in it the
table between two marks of `docs/speed.md` and the plot `docs/speed.svg`.

A figure replaces that of the same work beside the same peer; others stay, with the day and the machine they are of. So a part
of the benches can be run again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from tests.bench.records import Measured

BEGIN, END = "<!-- measured: make bench -->", "<!-- measured -->"
COLUMNS = ("what", "beside", "ours, a second", "theirs", "times as fast", "asked", "", "limit", "reached")
WIDTH, ROW = 380, 40  #: px; as wide as a phone shows with letters that can be read


def main(folder: Path, docs: Path) -> None:
    kept = merged(
        stored(docs / "speed.json"), [Measured.from_json(json.loads(path.read_text())) for path in folder.glob("*.json")]
    )
    (docs / "speed.json").write_text(json.dumps([each.to_json() for each in kept], indent=1) + "\n", encoding="utf-8")
    page = docs / "speed.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{table(kept)}\n\n{END}{after}", encoding="utf-8")
    draw(kept, docs / "speed.svg")
    print(table(kept))


def stored(path: Path) -> list[Measured]:
    return [Measured.from_json(each) for each in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def merged(kept: Sequence[Measured], new: Sequence[Measured]) -> list[Measured]:
    """One of each work and peer, the new one; sorted by both."""
    found = {(each.what, each.peer): each for each in (*kept, *new)}
    return [found[key] for key in sorted(found)]


def table(kept: Sequence[Measured]) -> str:
    """Markdown: a table for each machine and day."""
    parts = []
    for (told, date), rows in groupby(sorted(kept, key=where), where):
        lines = [f"*{told}, {date}:*", "", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
        parts.append("\n".join([*lines, *(each.line() for each in rows)]))
    return "\n\n".join(parts)


def where(measured: Measured) -> tuple[str, str]:
    """The machine in words, and the day."""
    told = measured.machine
    has = [told["has"]] if told["has"] else []
    return ", ".join([told["cpu"], f"{told['cores']} cores", *has, f"Python {told['python']}"]), measured.date


def name_of(measured: Measured) -> str:
    return f"{measured.what} · {measured.peer}"


def ratio_of(measured: Measured) -> str:
    return f"{measured.ratio:.2g}" if measured.ratio < 10 else f"{measured.ratio:.0f}"


def draw(kept: Sequence[Measured], path: Path) -> None:
    """A bar each, from as fast as the peer to the ratio; a stroke where it was asked to end; what is short of it in orange."""
    import matplotlib as mpl
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    from jobs.reporting.figures.style import INK, MUTED, PAPER, SERIES, SETTINGS, sheet

    enough, short = SERIES[:2]
    with mpl.rc_context(SETTINGS), sheet(WIDTH, ROW * len(kept) + 84) as figure:
        axes = figure.add_subplot()
        ends = [value for each in kept for value in (each.ratio, each.goal)]
        axes.set(xscale="log", xlim=(min(0.5, *ends) / 1.3, max(2.0, *ends) * 2.2), ylim=(len(kept) - 0.3, -0.75))
        for place, each in enumerate(kept):
            axes.barh(place, each.ratio - 1, left=1, height=0.34, color=short if each.short else enough)
            axes.plot([each.goal] * 2, [place - 0.26, place + 0.26], color=INK, linewidth=1.6)
            end = max(1.0, each.ratio, each.goal)
            axes.annotate(ratio_of(each), (end, place), (5, 0), textcoords="offset points", va="center")
            name = axes.annotate(name_of(each), (0, place - 0.3), xycoords=("axes fraction", "data"), va="bottom", fontsize=9)
            name.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 0.5})
        axes.axvline(1, color=MUTED, linewidth=0.8)
        ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if axes.get_xlim()[0] < tick < axes.get_xlim()[1]]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_yticks([])
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("times as fast as")
        marks = [Patch(color=enough, label="as asked"), Patch(color=short, label="short of it")]
        marks.append(Line2D([], [], color=INK, linewidth=0, marker="|", markersize=10, markeredgewidth=1.6, label="asked"))
        figure.legend(handles=marks, loc="outside upper left", ncols=3, fontsize=9, handlelength=1.2)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path("docs"))
