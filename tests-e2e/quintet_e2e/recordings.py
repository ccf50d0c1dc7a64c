"""Sessions in documents: run their commands on a terminal of 80 columns, and record or compare what a person sees."""

import re
import shlex
import shutil
import sys
from pathlib import Path

from quintet_e2e import transcripts
from quintet_e2e.command_line import CommandLine
from quintet_e2e.stacks import CHECKOUT, RunningStack

# What documents show instead of the address and the folder of the stack that is used.
SHOWN_ADDRESS, SHOWN_HOME = "127.0.0.1:8080", "/home/ann"
_SAMPLE = CHECKOUT / "orders-service" / "samples" / "orders.csv"
_BLOCK = re.compile(r"```console\n.*?```\n", re.DOTALL)
# The production of the last days is generated, so its numbers differ from hour to hour; those of queues are measured.
_GENERATED = re.compile(r"quintet (factory|status)")


class Recorder:
    """A person's shell, in a folder with a file of orders, who knows the administrator's password."""

    def __init__(self, stack: RunningStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        programs = folder / ".local"
        programs.mkdir()
        program = programs / "quintet"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m quintet "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        shutil.copy(_SAMPLE, folder / "orders.csv")
        self._shell = CommandLine(None, folder, HOME=str(folder))
        path = self._shell.environment["PATH"]
        self._shell.environment = {
            **{name: value for name, value in self._shell.environment.items() if name != "XDG_CONFIG_HOME"},
            "PATH": f"{programs}:{path}",
        }

    def run(self, command: str) -> str:
        """Return what the command shows."""
        typed = f"{self._stack.password}\n" if command.startswith("quintet login") else ""
        address = self._stack.url.removeprefix("http://")
        actual = command.replace(SHOWN_ADDRESS, address)
        screen = self._shell.show(actual, typed=typed, program=["bash", "-c"])
        text = screen.text.replace(address, SHOWN_ADDRESS).replace(str(self._folder), SHOWN_HOME)
        return text if text.strip() else ""


def record(document: Path, recorder: Recorder) -> str:
    """Return the text of the document with the output of its commands."""
    text = document.read_text(encoding="utf-8")
    outputs = iter([recorder.run(command) for command, _ in transcripts.steps(document)])

    def with_outputs(block: re.Match[str]) -> str:
        commands = re.findall(r"^\$ .*\n(?:^> .*\n)*", block[0], re.MULTILINE)
        return "```console\n" + "".join(command + next(outputs) for command in commands) + "```\n"

    return _BLOCK.sub(with_outputs, text)


def normalize(command: str, output: str) -> str:
    """Return the output without what differs from run to run."""
    output = transcripts.normalize(output)
    if _GENERATED.match(command):
        output = re.sub(r"[\d,.]+", "<number>", re.sub(r"[│┤]|<chart>", "", output))
        # The labels of an axis.
        output = re.sub(r"^ *<number> *$", "", output, flags=re.MULTILINE)
        output = transcripts.normalize(output)
    if command.startswith("quintet trace"):
        # Several processes write the entries.
        output = "\n".join(sorted(output.splitlines()))
    return output
