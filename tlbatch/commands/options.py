"""Options that several commands share."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from tlbatch.output import is_printable, json_printable

Command = TypeVar("Command", bound=Callable[..., Any])


class GivenPath(click.Path):
    """A file or folder that is named: an empty one, of a variable that is not set, is not the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty: name a file or a folder ('.' is the current one)", param, ctx)
        return super().convert(value, param, ctx)


CORES = click.IntRange(1, 4096)
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


def context_store() -> str:
    """The current context's store, else the one of this folder: where commands that read executions look."""
    if os.environ.get("TLBATCH_CONTEXT") or _config_there():
        from tlbatch.profiles import has_store, load_profile

        if has_store():
            profile = load_profile()
            profile.point_to_endpoint()
            return str(profile.store)
    return DEFAULT_STORE


def _config_there() -> bool:
    from tlbatch.profiles import config_path

    return os.path.lexists(config_path())


kept_store_option = click.option(
    "--store",
    envvar="TLBATCH_STORE",
    default=context_store,
    show_default=f"the context's, else {DEFAULT_STORE}",
    show_envvar=True,
    metavar="DIR|s3://BUCKET/PREFIX",
    help="Where artifacts, logs and reports are.",
)
context_option = click.option(
    "--context", envvar="TLBATCH_CONTEXT", help="A context of `tlbatch context list`.  [default: the current]"
)
namespace_option = click.option("-n", "--namespace", default=None, help="Namespace.  [default: the context's]")
cluster_store_option = click.option(
    "--store",
    default=None,
    metavar="s3://BUCKET/PREFIX",
    help="Where artifacts, logs and reports are.  [default: the context's]",
)
execution_argument = click.argument("execution", default="")
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field, e.g. runs[basic-cnn].train.lr=1e-4."
)
follow_links_option = click.option("--follow-links", is_flag=True, help="Take what links lead to outside of the folder.")
output_option = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)


def finite(_context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """A callback: nan is within every range, as it is neither below nor above."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number to compare with", param=option)
    return value


def print_json(document: Any) -> None:
    click.echo(json_printable(json.dumps(document, indent=1, ensure_ascii=False, default=str)))


def print_object(document: Any, output: str) -> None:
    """A cluster object, for people and for ``kubectl apply -f -``."""
    from tlbatch.schema.writing import dump_yaml

    if output == "json":
        print_json(document)
    else:
        text = dump_yaml(document)
        if not is_printable(text):  # YAML's own escapes, for all that is not ASCII
            text = dump_yaml(document, ascii_only=True)
        click.echo(text, nl=False)
