"""``tlbatch test-preempt``: does a study survive being interrupted?"""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbatch.commands.options import GivenPath, output_option, print_json, set_option

if TYPE_CHECKING:
    from tlbatch.preemption.check import Survivor


@click.command("test-preempt")
@click.argument("study", type=GivenPath())
@set_option
@click.option(
    "--interruptions",
    type=click.IntRange(1, 6),
    default=2,
    show_default=True,
    help="How often each task is interrupted, at most.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the moments, which are drawn at random.")
@click.option("--keep", type=GivenPath(path_type=Path), default=None, metavar="DIR", help="Keep both stores there.")
@click.option("-q", "--quiet", is_flag=True, help="Only the result.")
@output_option
def test_preempt(
    study: str, overrides: tuple[str, ...], interruptions: int, seed: int, keep: Path | None, quiet: bool, output: str
) -> int:
    """Run STUDY twice on this machine, the second time with its tasks killed at random moments, and compare what they left.

    A task's first interruption is SIGKILL (a node that is gone), the next ones are SIGTERM (a preemption). Everything that
    survives must be equal, bit for bit, to the undisturbed run. Your own store is not touched.

    \b
    tlbatch test-preempt study.yaml
    tlbatch test-preempt study.yaml --interruptions 4 --seed 1 --set 'runs[finetuned].train.epochs=3'

    Exit code 0 where all are equal, 1 where a task left something else, else that of the task that failed.
    """
    from tlbatch.display.progress import Display
    from tlbatch.preemption.check import as_json, check_preemption
    from tlbatch.spec import load_study
    from tlbatch.store import open_store

    loaded = load_study(study, overrides)
    folder = keep or Path(tempfile.mkdtemp(prefix="tlbatch-preempt-"))
    display = Display(open_store(str(folder / "interrupted")), quiet=quiet or output == "json")
    try:
        survivors = check_preemption(loaded, folder, interruptions, seed, display)
    finally:
        display.close()
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    document = as_json(survivors)
    if output == "json":
        print_json(document)
    else:
        _show(survivors)
    return 0 if document["equal"] else 1


def _show(survivors: tuple[Survivor, ...]) -> None:
    from tlbatch.display.tables import print_table
    from tlbatch.display.text import duration
    from tlbatch.preemption.check import DIFFERS

    def signals(survivor: Survivor) -> str:
        return ", ".join(signal.Signals(number).name for number in survivor.signals) or "too quick"

    rows = [[each.name, signals(each), duration(each.seconds[0]), each.verdict] for each in survivors]
    print_table(["task", "interrupted by", "undisturbed", "result"], rows, "text", left=(0, 1, 3))
    different = [each.name for each in survivors if each.verdict == DIFFERS]
    click.echo()
    if different:
        names = ", ".join(different)
        click.echo(f"{names}: interrupted, left something else than undisturbed; run it again with --keep DIR to compare")
    else:
        count = sum(len(each.signals) for each in survivors)
        click.echo(f"{count} interruptions, and every artifact is equal to that of the undisturbed run")
