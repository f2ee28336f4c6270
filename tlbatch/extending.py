"""``tlbatch champion extend``: a class added to a champion, from planning to the crown. Nothing is computed twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from tlbatch.champions.champion import Champion, find_champion
from tlbatch.champions.extending import crown_extended
from tlbatch.datasets.listing import ListedFile
from tlbatch.execution.alone import walk_here
from tlbatch.execution.driver import Observer
from tlbatch.kinds import speak_of
from tlbatch.planning.extension import EVALUATE, PREPARE, plan_extension
from tlbatch.prediction.model import CHAMPION, choose_model
from tlbatch.schedules.pins import load_pins
from tlbatch.store import Store

if TYPE_CHECKING:
    from tlbatch.backends import Backend


def extend_champion(
    store: Store,
    name: str,
    label: str,
    url: str,
    files: Sequence[ListedFile],
    backend: Callable[[], Backend],
    observer: Observer,
    user: str,
) -> Champion:
    """The champion ``name`` with the class ``label``, from ``files`` in ``url``; the present one where it is that already.

    Raises StudyError for a class that is there, DataError for items that cannot be used or that it is judged by, BeatenError
    where another process moved the champion meanwhile, Stopped when asked to stop.
    """
    present, etag = find_champion(store, name)
    pins = load_pins(store, name)
    newest = pins and pins.evaluated and pins.of == present.serial and not present.extended
    judged = pins if newest else None  # firings judge an extended one among their dataset's classes, not among all of its own
    speak_of(choose_model(f"{CHAMPION}{name}", store.url).prepared.kind)
    evaluated = judged.evaluated if judged and judged.evaluated else present.evaluation
    extension = plan_extension(store, present, evaluated, label, url, files)
    if extension.done_before:
        return present
    with closing(backend()) as opened:
        done = walk_here(store, extension.nodes, opened, observer)
    models = {role: done[node] for role, node in extension.models.items()}
    pinned = (judged.ref, judged.version) if judged else None
    return crown_extended(store, (present, etag), label, models, done[EVALUATE], done[PREPARE], pinned, user)
