"""``tlbatch context`` and ``tlbatch secret``: where studies go, and the credentials of their pods."""

from __future__ import annotations

import click

from tlbatch.commands.options import context_option, namespace_option, output_option, print_json


@click.group()
def context() -> None:
    """Where studies go: namespace, images, store, endpoints, Secret, cache, default resources, prices.

    \b
    tlbatch context set --context lab store=s3://bucket/tlbatch images=registry.example/team
    tlbatch context use lab
    """


@context.command("list")
@output_option
def list_contexts(output: str) -> None:
    """List the contexts; `*` marks the current one."""
    from tlbatch.profiles import load_config

    config = load_config()
    if output == "json":
        print_json(config)
        return
    for name, fields in config["contexts"].items():
        mark = "*" if name == config["current-context"] else " "
        click.echo(f"{mark} {name}  " + "  ".join(f"{field}={value}" for field, value in (fields or {}).items()))


@context.command("show")
@context_option
def show(context: str | None) -> None:
    """Print a context as it counts, defaults and environment included."""
    from tlbatch.profiles import load_profile

    print_json(load_profile(context).model_dump(mode="json", exclude_none=True))


@context.command("use")
@click.argument("name")
def use(name: str) -> None:
    """Make NAME the current context."""
    from tlbatch.profiles import load_config, load_profile, save_config

    load_profile(name)
    save_config({**load_config(), "current-context": name})


@context.command("set")
@context_option
@click.argument("fields", nargs=-1, required=True, metavar="FIELD=VALUE...")
def set_fields(context: str | None, fields: tuple[str, ...]) -> None:
    """Set fields of a context, making it where it is not there; an empty VALUE unsets.

    \b
    tlbatch context set store=s3://bucket/tlbatch images=registry.example/team namespace=vision
    tlbatch context set --context lab 'resources={gpu: 1, tolerations: [{key: nvidia.com/gpu, operator: Exists}]}'
    """
    from tlbatch.errors import StudyError
    from tlbatch.profiles import DEFAULT_NAME, config_path, decode_profile, load_config, save_config

    config = load_config()
    name = context or config["current-context"] or DEFAULT_NAME
    values = dict(config["contexts"].get(name) or {})
    for field in fields:
        key, equals, text = field.partition("=")
        if not equals:
            raise StudyError(f"{field!r}: expected FIELD=VALUE")
        if text:
            values[key] = _value(field, text) if key in ("cache", "resources", "prices") or text == "null" else text
        else:
            values.pop(key, None)
    decode_profile(values, f"{config_path()}: contexts.{name}")
    contexts = {**config["contexts"], name: values}
    save_config({"current-context": config["current-context"] or name, "contexts": contexts})


def _value(field: str, text: str) -> object:
    from tlbatch.errors import StudyError
    from tlbatch.schema.yamltree import read_tree

    tree = read_tree(text, field, variables=False)
    if tree.mistakes:
        said = "; ".join(mistake.text for mistake in tree.mistakes)
        raise StudyError(f"{field!r}: cannot be read as YAML ({said}): quote it as a whole, and close what it opens")
    return tree.value


@click.group()
def secret() -> None:
    """The Secret that gives pods their S3 credentials.

    \b
    tlbatch secret create
    """


@secret.command("create")
@context_option
@namespace_option
@click.option("--name", default=None, help="Name of the Secret.  [default: the context's, tlbatch-s3]")
def create(context: str | None, namespace: str | None, name: str | None) -> None:
    """Make (or replace) the Secret from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what else of AWS_* is set here.

    \b
    AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… tlbatch secret create
    """
    from tlbatch.cluster import open_cluster
    from tlbatch.credentials import secret_data, store_secret
    from tlbatch.profiles import load_profile

    profile = load_profile(context, {"namespace": namespace})
    data = secret_data(profile)
    cluster = open_cluster(profile.namespace, profile.kube_context)
    found = store_secret(cluster, name or profile.secret or "tlbatch-s3", data)
    click.echo(f"Secret {found} in namespace {profile.namespace}: {', '.join(sorted(data))}")
