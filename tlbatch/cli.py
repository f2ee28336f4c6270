"""``tlbatch``: commands are parsed here and in tlbatch.commands, loaded when they are called. No logic."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

from tlbatch import __version__
from tlbatch.environment import warn_of_unknown_names
from tlbatch.interrupts import CODE, SENTENCE, end, interruptible
from tlbatch.output import screened

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: command -> (where it is, what the list of commands says of it)
COMMANDS = {
    "init": ("tlbatch.commands.studies:init", "Write a commented study that runs, fitted to a folder of images."),
    "check": ("tlbatch.commands.studies:check", "Say what a study would do: the plan, what is cached, parameters, time."),
    "advise": ("tlbatch.commands.advise:advise", "Say which pretrained network to take, and how, before anything is trained."),
    "schema": ("tlbatch.commands.studies:schema", "Print the JSON Schema of a study, for editors."),
    "run": ("tlbatch.commands.run:run", "Run a study on this machine."),
    "curve": ("tlbatch.commands.curve:curve", "Say how accurate a study is with few labels, and what more would bring."),
    "test-preempt": (
        "tlbatch.commands.preemption:test_preempt",
        "Interrupt a study's tasks on purpose and compare what they leave.",
    ),
    "submit": ("tlbatch.commands.submit:submit", "Run a study on a Kubernetes cluster."),
    "render": ("tlbatch.commands.submit:render", "Print exactly what submit would send."),
    "cancel": ("tlbatch.commands.control:cancel", "End an execution for good."),
    "resume": ("tlbatch.commands.control:resume", "Go on with an execution that failed; what is done is kept."),
    "list": ("tlbatch.commands.executions:list_", "List the executions in a store."),
    "status": ("tlbatch.commands.status:status", "Show where an execution and its tasks stand."),
    "logs": ("tlbatch.commands.status:logs", "Print what a task printed."),
    "why": ("tlbatch.commands.control:why", "Say in a sentence what an execution waits for, or why it failed."),
    "report": ("tlbatch.commands.reports:report", "Show, list, fetch, compare and open reports."),
    "schedule": ("tlbatch.commands.schedule:schedule", "Run a study again every night; apply, show, trigger, suspend it."),
    "champion": ("tlbatch.commands.champions:champion", "Show, change and take along the model a schedule stands by."),
    "predict": ("tlbatch.commands.predict:predict", "Say what a trained model sees in a folder of pictures, or in S3."),
    "data": ("tlbatch.commands.data:data", "Copy pictures into S3, and check a dataset."),
    "gc": ("tlbatch.commands.cleaning:gc", "Remove what nothing in a store needs any more."),
    "rm": ("tlbatch.commands.cleaning:rm", "Forget an execution."),
    "fsck": ("tlbatch.commands.fsck:fsck", "Check that a store holds what was written to it; repair what can be."),
    "cache": ("tlbatch.commands.caches:cache", "Show and empty what was fetched from S3 and is kept on this machine."),
    "doctor": ("tlbatch.commands.doctor:doctor", "Check cluster, permissions, Secret, S3 and images."),
    "context": ("tlbatch.commands.contexts:context", "Where studies go: list, set and use contexts."),
    "secret": ("tlbatch.commands.contexts:secret", "Make the Secret with the pods' S3 credentials."),
    "backbones": ("tlbatch.commands.backbones:backbones", "List pretrained networks; stages, layers and weights of one."),
    "plugins": ("tlbatch.commands.plugins:plugins", "List what other packages add."),
    "weights": ("tlbatch.commands.backbones:weights", "Mirror pretrained weights into a store."),
    "completion": ("tlbatch.commands.completion:completion", "Print a script that completes commands in bash, zsh or fish."),
}


#: not for people: what runs inside the cluster
HIDDEN = {"drive": "tlbatch.commands.drive:drive"}


#: ``color``: click would silently drop codes from names where no terminal listens; tlbatch.output shows them
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "color": True}


class LazyGroup(click.Group):
    """A group whose commands are imported when called: ``tlbatch --help`` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = HIDDEN.get(cmd_name) or COMMANDS.get(cmd_name, ("",))[0]
        if not place:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in {**COMMANDS, **HIDDEN} and not args[0].startswith("-"):
            from tlbatch.schema.nearest import nearest

            near = nearest(args[0], COMMANDS)
            ctx.fail(f"no command {args[0]!r}" + (f" (did you mean {near!r}?)" if near else "; see `tlbatch --help`"))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """A closed connection is not a closed terminal, for which click would take it (that one is tlbatch.output's)."""
        from tlbatch.errors import TransientError

        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise TransientError(f"a connection was closed at its other end ({error}): the same command again") from error

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names from the list: a shell that completes imports no command."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="tlbatch")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Transfer learning as batch jobs: from labelled images to an honest report.

    \b
    tlbatch init photos/ > study.yaml     a study for a folder with one folder of images per class
    tlbatch check study.yaml              what it would do
    tlbatch run study.yaml                do it here; the second time, nothing is computed again
    """
    warn_of_unknown_names(os.environ)


def main(arguments: list[str] | None = None) -> None:
    """The program. Ends the process: 0 done, else as tlbatch.errors has it; a failure is a sentence on stderr."""
    if arguments is None and "_TLBATCH_COMPLETE" in os.environ:
        from tlbatch.commands.completion import answer_shell

        answer_shell(cli)
    with screened(), interruptible():
        code = _code(sys.argv[1:] if arguments is None else arguments)
        if code == CODE and arguments is None:
            end(code)  # threads that still wait for a server are not waited for
    sys.exit(code)


def _code(arguments: list[str]) -> int:
    from tlbatch.errors import TlbatchError

    try:
        return int(cli.main(arguments, standalone_mode=False) or 0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _failed(SENTENCE, CODE)
    except click.ClickException as error:
        error.show()
        return 2
    except TlbatchError as error:
        from tlbatch.logins import without_logins

        return _failed(without_logins(f"{error}{error.way_out}"), error.exit_code, "--debug" in arguments)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        words = f"{type(error).__name__}: {error} (a bug in tlbatch: `tlbatch --debug …` shows where)"
        return _failed(words, 1, "--debug" in arguments)


def _failed(sentence: str, code: int, debug: bool = False) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    else:
        sys.stderr.write(f"{sentence}\n")
    return code
