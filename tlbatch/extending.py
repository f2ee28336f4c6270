"""``tlbatch champion extend``: a class added to a champion, from planning to the crown. Nothing is computed twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tlbatch import nouns
from tlbatch.champions.champion import Champion, find_champion
from tlbatch.champions.extending import crown_extended
from tlbatch.datasets.listing import ListedFile
from tlbatch.errors import StudyError
from tlbatch.execution.alone import walk_here
from tlbatch.execution.driver import Observer
from tlbatch.kinds import speak_of
from tlbatch.planning.extension import EVALUATE, PREPARE, Extension, plan_extension
from tlbatch.prediction.model import CHAMPION, choose_model
from tlbatch.schedules.pins import load_pins
from tlbatch.store import Store

if TYPE_CHECKING:
    from tlbatch.backends import Backend
    from tlbatch.execution.lone_jobs import Waits
    from tlbatch.profiles import Profile


def extend_champion(
    store: Store,
    name: str,
    label: str,
    url: str,
    files: Sequence[ListedFile],
    backend: Callable[[Extension], Backend],
    observer: Observer,
    user: str,
) -> Champion:
    """The champion ``name`` with the class ``label``, from ``files`` in ``url``; the present one where it is that already.

    ``backend`` is called once it is known what is to be computed. Raises StudyError for a class that is there, DataError for
    items that cannot be used or that it is judged by, BeatenError where another process moved the champion meanwhile, Stopped
    when asked to stop.
    """
    present, etag = find_champion(store, name)
    if present.tasks:
        names = ", ".join(task.name for task in present.tasks)
        raise StudyError(
            f"champion extend: the champion of {name} has several tasks ({names}), and a class is added to a champion of one: "
            f"put {nouns.items()} of {label} into the dataset, with its labels, and fire the schedule: it trains the class"
        )
    pins = load_pins(store, name)
    newest = pins and pins.evaluated and pins.of == present.serial and not present.extended
    judged = pins if newest else None  # firings judge an extended one among their dataset's classes, not among all of its own
    speak_of(choose_model(f"{CHAMPION}{name}", store.url).prepared.kind)
    evaluated = judged.evaluated if judged and judged.evaluated else present.evaluation
    extension = plan_extension(store, present, evaluated, label, url, files)
    if extension.done_before:
        return present
    with closing(backend(extension)) as opened:
        done = walk_here(store, extension.nodes, opened, observer)
    models = {role: done[node] for role, node in extension.models.items()}
    pinned = (judged.ref, judged.version) if judged else None
    return crown_extended(store, (present, etag), label, models, done[EVALUATE], done[PREPARE], pinned, user)


@dataclass
class OnCluster:
    """Opens what extends a champion by Jobs of ``profile``'s cluster, which go when this process is asked to stop.

    ``source``: where the new items are; ``observer`` and ``say`` hear how it goes, ``waits`` is to be told.
    """

    store: Store
    source: str
    profile: Profile
    observer: Observer
    say: Callable[[str], None]

    @cached_property
    def waits(self) -> Waits:
        from tlbatch.execution.lone_jobs import Waits

        return Waits(self.observer, self.say)

    def __call__(self, extension: Extension) -> Backend:
        """Raises StudyError, with every place at once, for what pods could not see."""
        from tlbatch.cluster import open_cluster
        from tlbatch.execution.lone_jobs import group_name, lone_backend

        check_visible(extension, self.source, self.store)
        site = self.profile.model_copy(update={"store": self.store.url}).site()
        cluster = open_cluster(self.profile.namespace, self.profile.kube_context)
        group = group_name("extend", extension.champion.name, f"{extension.label}/{extension.prepare.key}")
        self.say(f"{group}: Ctrl-C, or `tlbatch cancel {group}`, ends its Jobs; the same command goes on from what is done")
        self.waits.backend = lone_backend(self.store, site, cluster, group, extension.champion.study)
        return self.waits.backend


def check_visible(extension: Extension, source: str, store: Store) -> None:
    """Raises StudyError for folders and weights of this machine."""
    wrong = []
    if not source.startswith("s3://"):
        way = f"`tlbatch data put {source} s3://BUCKET/NAME` copies it"
        wrong.append(f"SRC: {source} is a folder of this machine, which pods cannot see: {way}")
    if not store.url.startswith("s3://"):
        wrong.append(f"the store: {store.url} is a folder of this machine, which pods cannot see: name one in S3 by --store")
    weights = str(extension.nodes[-1].locations.get("weights") or "")
    if weights and "://" not in weights and not weights.startswith("store:"):
        wrong.append(f"the model's backbone has its weights from {weights}, a file of this machine, which pods cannot see")
    if wrong:
        raise StudyError("\n".join(wrong))
