"""Where a task of an execution can stand, as its status says it."""

PENDING = "pending"  #: what it needs is not complete
READY = "ready"  #: could start now: waits for room, or for its next try
WAITING = "waiting"  #: another execution computes it
RUNNING = "running"
CACHED = "cached"  #: was in the store before this execution
DONE = "done"
FAILED = "failed"
BLOCKED = "blocked"  #: something it needs failed
STOPPED = "stopped"  #: was asked to stop; a later execution goes on from there

COMPLETE = frozenset({CACHED, DONE})
ENDED = frozenset({CACHED, DONE, FAILED, BLOCKED, STOPPED})
