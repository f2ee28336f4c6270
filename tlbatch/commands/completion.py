"""``tlbatch completion``: commands and options completed by the shell. Click writes the script; here is how to install it."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

#: What the scripts set when they ask for completions; named by Click after the program
VARIABLE = "_TLBATCH_COMPLETE"
INSTALL = {
    "bash": """\
# Completion of tlbatch for bash (4.4 or newer).
#   in this shell:    source <(tlbatch completion bash)
#   in every shell:   tlbatch completion bash > ~/.local/share/bash-completion/completions/tlbatch
#                     (needs the package bash-completion; else add the line above to ~/.bashrc)
""",
    "zsh": """\
# Completion of tlbatch for zsh.
#   in this shell:    source <(tlbatch completion zsh)   (after: autoload -U compinit && compinit)
#   in every shell:   tlbatch completion zsh > "${fpath[1]}/_tlbatch"
""",
    "fish": """\
# Completion of tlbatch for fish.
#   in this shell:    tlbatch completion fish | source
#   in every shell:   tlbatch completion fish > ~/.config/fish/completions/tlbatch.fish
""",
}


@click.command()
@click.argument("shell", type=click.Choice(list(INSTALL)))
def completion(shell: str) -> None:
    """Print the script that lets SHELL complete commands and options; its first lines say how to install it.

    \b
    source <(tlbatch completion bash)
    """
    from click.shell_completion import get_completion_class

    cli = click.get_current_context().find_root().command
    writer = get_completion_class(shell)
    assert writer is not None
    script = writer(cli, {}, "tlbatch", VARIABLE).source().lstrip()
    tag = "#compdef tlbatch\n" if shell == "zsh" else ""  # zsh looks for it in the first line of a file
    click.echo(tag + INSTALL[shell] + script.removeprefix(tag), nl=False)


def answer_shell(cli: click.Command) -> NoReturn:
    """Print the completions that the script asks for. Ends the process."""
    from click.shell_completion import shell_complete

    sys.exit(shell_complete(cli, {}, "tlbatch", VARIABLE, os.environ[VARIABLE]))
