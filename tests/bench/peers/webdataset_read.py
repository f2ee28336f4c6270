"""All files of tar shards by webdataset, one after the other: prints JSON {files, bytes, seconds, webdataset}.

Arguments: the shards.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

import webdataset


def main(shards: list[str]) -> None:
    started, count, size = time.perf_counter(), 0, 0
    for sample in webdataset.WebDataset(shards, shardshuffle=False, empty_check=False):
        count += 1
        size += len(sample["jpg"])
    seconds = time.perf_counter() - started
    print(json.dumps({"files": count, "bytes": size, "seconds": seconds, "webdataset": version("webdataset")}))


if __name__ == "__main__":
    main(sys.argv[1:])
