"""From a study and a listing to a plan: the tasks, what each needs, and how its key follows from its inputs' digests."""

from tlbatch.planning.plan import Alike, Node, Plan

__all__ = ["Alike", "Node", "Plan"]
