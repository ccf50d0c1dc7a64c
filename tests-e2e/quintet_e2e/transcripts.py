"""Console blocks of a document: run their commands against a stack and compare what a terminal shows."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from quintet_e2e.command_line import CommandLine, Shown
from quintet_e2e.stacks import CHECKOUT, RunningStack

RUN_SECONDS = 300
_END_OF_STEP = "---- end of step ----"

# For text that differs from run to run: IDs, times, rates, and charts and bars, whose length depends on other text.
_PLACEHOLDERS = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
    (r"\b[0-9a-f]{32}\b", "<request>"),
    (r"\be2e-[0-9a-f]{8}-\d+", "<request>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?Z?", "<time>"),
    (r"\d{4}-\d\d-\d\d", "<date>"),
    (r"\b\d\d:\d\d(:\d\d)?\b", "<time>"),
    (r"\b\d+(\.\d+)? (min|s)\b", "<seconds>"),
    (r"\b[\d.,]+ ?[kMG]?B/s|\b[\d.,]+/s", "<rate>"),
    (r"\b\d+\.\d+\.\d+\b", "<version>"),
    (r"[\u2800-\u28ff▁▂▃▄▅▆▇█─━]+( +[\u2800-\u28ff▁▂▃▄▅▆▇█─━]+)*", "<chart>"),
    # A rate is shown only if there was time to measure it.
    (r"(<chart> 100 %) .*", r"\1"),
]
# How far sequences, streams and IDs have advanced depends on what ran before on the same stack, and how long a command
# of the stack waits depends on the machine.
_CIRCUMSTANCES = [
    (r'("stream":"sequence","sequence":)\d+(,"position":)\d+', r"\1<n>\2<n>"),
    (r'("batch_no":)\d+', r"\1<number>"),
    (r"^Factory \d+:", "Factory <id>:"),
    (r"\b[1-9]\d{3}\b", "<number>"),
    (r"^<seconds> still waiting: .*\n", ""),
]


def steps(document: Path) -> Iterator[tuple[str, str]]:
    """Yield the command and the expected output of each step; further lines of a command begin with `> `."""
    for block in re.findall(r"```console\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines(keepends=True)
            command_lines = 1
            while command_lines < len(lines) and lines[command_lines].startswith("> "):
                command_lines += 1
            command = "".join(line.removeprefix("> ") for line in lines[:command_lines]).rstrip("\n")
            yield command, "".join(lines[command_lines:])


def normalize(text: str) -> str:
    """Return the text without what differs from run to run; the widths of columns depend on it too."""
    for pattern, replacement in _PLACEHOLDERS:
        text = re.sub(pattern, replacement, text)
    return "\n".join(re.sub(r"\s+", " ", line).strip() for line in text.splitlines()).strip()


def assert_runs_as_shown(document: Path, stack: RunningStack, folder: Path) -> None:
    """Run all steps in one shell on a terminal, with temporary files in `folder`, and compare the output of each."""
    load_data = f"STACK_DIR={stack.home} {sys.executable} {CHECKOUT / 'deploy' / stack.kind} load-data"
    expected = list(steps(document))
    script = "\n".join([f"cd {CHECKOUT}", *(f"{command}\necho; echo {_END_OF_STEP!r}" for command, _ in expected)])
    script = script.replace("/tmp/", f"{folder}/").replace("make load-data", load_data)
    script = script.replace("$(make -s url)", stack.client_url())
    shell = CommandLine(None, folder, TMPDIR=str(folder))
    screen = shell.show(script, program=["bash", "-c"], seconds=RUN_SECONDS)
    outputs = screen.raw.split(f"{_END_OF_STEP}\r\n")[:-1]
    assert len(outputs) == len(expected), screen.text
    for (command, shown), raw in zip(expected, outputs, strict=True):
        output = Shown(raw, screen.exit_code).text.replace(f"{folder}/", "/tmp/")
        assert _comparable(output) == _comparable(shown), f"{command}\n{output}"


def _comparable(text: str) -> str:
    text = normalize(text)
    for pattern, replacement in _CIRCUMSTANCES:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text
