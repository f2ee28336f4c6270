"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULT_STORE = ".tlbatch/store"

store_option = click.option(
    "--store",
    envvar="TLBATCH_STORE",
    default=DEFAULT_STORE,
    show_default=True,
    show_envvar=True,
    metavar="DIR|s3://BUCKET/PREFIX",
    help="Where artifacts, logs and reports are.",
)
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field, e.g. runs[basic-cnn].train.lr=1e-4."
)
output_option = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)


def print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=1, ensure_ascii=False, default=str))
