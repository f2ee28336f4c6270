"""``tlbatch cache``: what was fetched from S3 and is kept on this machine."""

from __future__ import annotations

import click

from tlbatch.commands.options import output_option, print_json


@click.group()
def cache() -> None:
    """What was fetched from S3 and is kept on this machine (TLBATCH_CACHE, at most TLBATCH_CACHE_SIZE).

    \b
    tlbatch cache show
    tlbatch cache clear
    """


@cache.command("show")
@output_option
def show(output: str) -> None:
    """Say where the cache is, what it holds and how large it may get.

    \b
    tlbatch cache show
    """
    from tlbatch.store.cache import cache_folder, cache_limit
    from tlbatch.store.cache_space import default_limit, look

    root, limit = cache_folder(), cache_limit()
    space = look(root)
    limit = default_limit(root, space.held) if limit is None else limit
    if output == "json":
        sizes = {"bytes": space.held, "in_use_bytes": space.in_use, "limit_bytes": limit}
        print_json({"folder": str(root), "files": space.files, **sizes})
        return
    click.echo(
        f"{root}: {space.files} files, {_size(space.held)}, {_size(space.in_use)} of it in use; it may get {_size(limit)} large"
    )


@cache.command("clear")
@output_option
def clear(output: str) -> None:
    """Remove what no running task uses. What is needed later is fetched again.

    \b
    tlbatch cache clear
    """
    from tlbatch.store.cache import cache_folder, clear_cache

    root = cache_folder()
    freed, left = clear_cache(root)
    if output == "json":
        print_json({"folder": str(root), "removed_bytes": freed, "bytes": left.held, "in_use_bytes": left.in_use})
        return
    click.echo(f"{root}: {_size(freed)} removed, {_size(left.held)} left, {_size(left.in_use)} of it in use")


def _size(amount: int) -> str:
    return f"{amount / 2**20:,.1f} MiB"
