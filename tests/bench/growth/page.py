"""The table and the plot of `docs/growth.md`, from what was measured. What stands between its two marks is written anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.growth.fits import exponent

BEGIN, END = "<!-- measured: make growth -->", "<!-- measured -->"
#: curve -> what it measures, and what x counts
SUBJECTS = {
    "check_files_of_a_folder": ("`tlbatch check` of a folder", "files"),
    "check_keys_of_a_bucket": ("`tlbatch check` of a bucket", "keys"),
    "check_classes": ("`tlbatch check`, 20,000 keys", "classes"),
    "check_runs": ("`tlbatch check`, 1,000 files", "runs"),
    "drive_runs": ("a driver, 100 classes", "runs"),
    "drive_studies_at_once": ("drivers at once, 3 runs each", "studies"),
    "list_executions_of_a_store": ("`tlbatch list`", "executions"),
    "extract_shards": ("`extract`, 256 images", "shards"),
    "prepare_images": ("`prepare` with near copies, 64 px", "images"),
    "head_classes": ("a logistic head, 20 images a class", "classes"),
    "metrics_classes": ("metrics of a run, 2,000 test images", "classes"),
    "report_runs": ("`report`, 5 classes", "runs"),
    "report_classes": ("`report`, 2 runs", "classes"),
}
COLUMNS = {"cpu_s": "CPU s", "peak_mib": "MiB", "requests": "requests", "bytes": "MB to and fro", "page_mb": "MB of the page"}
COLUMNS |= {"opened_s": "s to open"}
FITTED = ("cpu_s", "peak_mib", "requests", "bytes", "page_mb")


def page(kept: Mapping[str, Any], docs: Path) -> None:
    path = docs / "growth.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{table(kept)}\n\n{END}{after}", encoding="utf-8")
    draw(kept, docs / "growth.svg")


def table(kept: Mapping[str, Any]) -> str:
    """A row a curve and quantity: its values at each x, and the exponent."""
    told = kept["machine"]
    has = f", {told['has']}" if told["has"] else ""
    lines = [f"*Measured {kept['date']}, {told['cpu']}, {told['cores']} cores{has}, Python {told['python']}.*", ""]
    lines += ["| what | of | grows with | at | values | exponent |", "|---|---|---|---|---|---|"]
    for name, (what, counts) in SUBJECTS.items():
        points = kept["curves"].get(name, {}).get("points", [])
        for field, title in COLUMNS.items():
            xs = [point["x"] for point in points if field in point]
            ys = [point[field] for point in points if field in point]
            if xs:
                slope = exponent(xs, ys) if field in FITTED else None
                shown = "" if slope is None else f"{slope:.1f}"
                values = ", ".join(number(y / 1e6 if field == "bytes" else y) for y in ys)
                lines.append(f"| {what} | {title} | {counts} | {', '.join(f'{x:,}' for x in xs)} | {values} | {shown} |")
        left = kept["curves"].get(name, {}).get("left_out", [])
        if left:
            lines.append(f"| {what} | | {counts} | {', '.join(f'{x:,}' for x in left)} | not within its share of time | |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits that tell something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def draw(kept: Mapping[str, Any], path: Path) -> None:
    """CPU seconds of all curves over x, both logarithmic: a line that is as steep as the grey ones grows like x."""
    import matplotlib as mpl

    from jobs.reporting.figures.style import DASHES, MUTED, SERIES, SETTINGS, sheet

    with mpl.rc_context(SETTINGS), sheet(760, 460) as figure:
        axes = figure.add_subplot()
        for place, (name, (what, counts)) in enumerate(SUBJECTS.items()):
            points = kept["curves"].get(name, {}).get("points", [])
            style = {"color": SERIES[place % len(SERIES)], "linestyle": DASHES[place // len(SERIES) * 2 % len(DASHES)]}
            xs, ys = [point["x"] for point in points], [point["cpu_s"] for point in points]
            axes.plot(xs, ys, marker="o", markersize=3.5, label=f"{what.replace('`', '')}: {counts}", **style)
        axes.set(xscale="log", yscale="log", xlabel="how many", ylabel="CPU seconds")
        bottom, top = axes.get_ylim()
        for start in (1e-3, 1e-1, 1e1):
            axes.plot([1, 1e6], [start, start * 1e6], color=MUTED, linewidth=0.5, alpha=0.5)
        axes.set(xlim=(0.8, 1.5e6), ylim=(bottom, top))
        figure.legend(loc="outside right upper", fontsize=8)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
