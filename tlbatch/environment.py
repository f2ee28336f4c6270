"""The environment variables that are read, and a warning about others of that name: a misspelt one would change nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator

PREFIX = "TLBATCH_"
SETTINGS = {
    "TLBATCH_CACHE": "folder for fetched files",
    "TLBATCH_CACHE_SIZE": "how large it may get, such as 20Gi",
    "TLBATCH_CONFIG": "file of contexts",
    "TLBATCH_CONTEXT": "the context to use",
    "TLBATCH_IMAGES": "a context's images",
    "TLBATCH_NAMESPACE": "a context's namespace",
    "TLBATCH_S3_ANONYMOUS": "1: ask S3 without credentials",
    "TLBATCH_STORE": "a context's store",
    "TLBATCH_TAG": "a context's tag of images",
    "TLBATCH_THREADS": "threads that a step may use",
    "TLBATCH_USER": "who submits, where that is not the login name",
    "TLBATCH_WEBHOOK": "URL of a schedule's webhook",
}
STUDIES = ("TLBATCH_BREEDS", "TLBATCH_DATA", "TLBATCH_SAMPLES", "TLBATCH_WEIGHTS_DIR")
"""In ``${…}`` of the ready-made studies."""
THREAD_SETTINGS = ("TLBATCH_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What tells a step, and the libraries that it loads, with how many threads to compute."""
PODS = ("TLBATCH_JOB_NAME", "TLBATCH_JOB_UID", "TLBATCH_LAUNCHER", "TLBATCH_PARENT", "TLBATCH_POD", "TLBATCH_SITE")
"""Set by tlbatch itself, for its pods and processes."""
TESTS = (
    *(
        "TLBATCH_BENCH",
        "TLBATCH_CHAOS",
        "TLBATCH_CHROMIUM",
        "TLBATCH_CLUSTER",
        "TLBATCH_FAULTS",
        "TLBATCH_GOLDEN",
        "TLBATCH_REQUIRE",
    ),
    *("TLBATCH_PEERS", "TLBATCH_SEED", "TLBATCH_SHARED", "TLBATCH_TEST_MARK", "TLBATCH_VERSITYGW"),
)
_OF_A_SERVICE = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP|SCTP)(_.*)?)?)$")
"""Kubernetes tells every pod of the Services beside it: of one called ``tlbatch-s3`` by TLBATCH_S3_SERVICE_HOST and others."""


def unknown_names(environment: Iterable[str]) -> Iterator[str]:
    """A sentence for each name that begins like ours and is none, with the nearest that is."""
    known = {*SETTINGS, *STUDIES, *PODS, *TESTS}
    for name in sorted(name for name in environment if name.startswith(PREFIX) and name not in known):
        if _OF_A_SERVICE.search(name):
            continue
        from tlbatch.schema.nearest import suggestion  # only now: `tlbatch --help` is quick

        yield f"{name} in the environment is no setting of tlbatch{suggestion(name, [*SETTINGS, *STUDIES], most=0)}"


def warn_of_unknown_names(environment: Iterable[str]) -> None:
    """A line each on stderr."""
    for sentence in unknown_names(environment):
        print(f"warning: {sentence}", file=sys.stderr, flush=True)
