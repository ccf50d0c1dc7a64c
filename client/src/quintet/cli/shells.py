"""The command that prints completion scripts."""

from enum import Enum
from typing import Annotated

import typer

from quintet.cli import COMPLETION_VARIABLE
from quintet.cli.options import Json
from quintet.cli.output import print_json


class Shell(str, Enum):
    """A shell for which there is a completion script."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(help="The shell that completes.")],
    as_json: Json = False,
) -> None:
    """Print a completion script for bash, zsh or fish.

    \b
    bash: add `eval "$(quintet completion bash)"` to ~/.bashrc.
    zsh: add `eval "$(quintet completion zsh)"` to ~/.zshrc, after compinit.
    fish: quintet completion fish > ~/.config/fish/completions/quintet.fish
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    script = get_completion_script(prog_name="quintet", complete_var=COMPLETION_VARIABLE, shell=shell.value)
    if as_json:
        print_json({"shell": shell.value, "script": script})
    else:
        typer.echo(script)
