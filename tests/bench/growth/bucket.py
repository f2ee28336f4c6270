"""A bucket of a million keys that nobody stored: an S3 server on loopback that makes up the keys it lists.

``python -m tests.bench.growth.bucket KEYS CLASSES`` prints its port and serves until it is ended. It knows listings alone.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

LAST = chr(0x10FFFF)


@dataclass(frozen=True)
class Invented:
    """``count`` keys ``class0042/00000017.jpg``, dealt out to ``classes``, in the order of their text."""

    count: int
    classes: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> str:
        if place >= self.count:
            raise IndexError(place)
        each, more = divmod(self.count, self.classes)
        label = place // (each + 1) if place < more * (each + 1) else more + (place - more * (each + 1)) // each
        first = label * each + min(label, more)
        return f"class{label:04}/{place - first:08}.jpg"

    def page(self, prefix: str, by_folder: bool, token: int, most: int) -> tuple[list[str], list[str], int | None]:
        """Keys, folders met instead of their keys, and where the next page begins."""
        place = max(token, bisect_left(self, prefix))  # type: ignore[arg-type]
        end = bisect_left(self, prefix + LAST)  # type: ignore[arg-type]
        keys: list[str] = []
        folders: list[str] = []
        while place < end and len(keys) + len(folders) < most:
            key = self[place]
            folder, slash, _ = key[len(prefix) :].partition("/")
            if by_folder and slash:
                folders.append(f"{prefix}{folder}/")
                place = bisect_left(self, folders[-1] + LAST)  # type: ignore[arg-type]
            else:
                keys.append(key)
                place += 1
        return keys, folders, place if place < end else None


def answer(bucket: Invented, query: dict[str, list[str]]) -> bytes:
    """Of ListObjectsV2."""
    one = {name: values[0] for name, values in query.items()}
    keys, folders, rest = bucket.page(
        one.get("prefix", ""), "delimiter" in one, int(one.get("continuation-token", 0)), int(one.get("max-keys", 1000))
    )
    return "".join(_lines(keys, folders, rest)).encode()


def _lines(keys: list[str], folders: list[str], rest: int | None) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    yield f"<KeyCount>{len(keys) + len(folders)}</KeyCount><IsTruncated>{str(rest is not None).lower()}</IsTruncated>"
    yield "<EncodingType>url</EncodingType>"
    if rest is not None:
        yield f"<NextContinuationToken>{rest}</NextContinuationToken>"
    for key in keys:
        yield f"<Contents><Key>{quote(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        yield f"<ETag>&quot;{abs(hash(key)):032x}&quot;</ETag><Size>{20_000 + len(key)}</Size></Contents>"
    for folder in folders:
        yield f"<CommonPrefixes><Prefix>{quote(folder)}</Prefix></CommonPrefixes>"
    yield "</ListBucketResult>"


def serve(bucket: Invented) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            body = answer(bucket, query) if "list-type" in query else b"<Error><Code>NoSuchKey</Code></Error>"
            self.send_response(200 if "list-type" in query else 404)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(Invented(int(sys.argv[1]), int(sys.argv[2])))
