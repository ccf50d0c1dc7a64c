"""Console blocks of a document: run their commands against a stack and compare the output with the document."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from quintet_e2e.stacks import CHECKOUT, RunningStack

RUN_SECONDS = 300
_END_OF_STEP = "----"

# For text that differs from run to run: IDs, times, and how far a sequence or a stream has advanced.
_PLACEHOLDERS = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
    (r"\b[0-9a-f]{32}\b", "<request>"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "<time>"),
    (r'("id":"sequence","name":"sequence-service","time":")[^"]+', r"\1<time>"),
    (r'("stream":"sequence","sequence":)\d+(,"position":)\d+', r"\1<n>\2<n>"),
    (r'("batch_no":)\d+', r"\1<number>"),
    (r"\b[1-9]\d{3}\b", "<number>"),
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
    for pattern, replacement in _PLACEHOLDERS:
        text = re.sub(pattern, replacement, text)
    return text.strip()


def assert_runs_as_shown(document: Path, stack: RunningStack, folder: Path) -> None:
    """Run all steps in one shell, with temporary files in `folder`, and compare the output of each."""
    address = stack.url.replace("://", f"://{stack.user}:{stack.password}@")
    load_data = f"STACK_DIR={stack.home} {sys.executable} {CHECKOUT / 'deploy' / stack.kind} load-data"
    expected = list(steps(document))
    script = "\n".join(f"{command}\nprintf '\\n%s\\n' {_END_OF_STEP}" for command, _ in expected)
    script = script.replace("/tmp/", f"{folder}/").replace("make load-data", load_data)
    script = script.replace("U=$(make -s url)", f"U={address}")
    run = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env=os.environ | {"TMPDIR": str(folder)},
        timeout=RUN_SECONDS,
    )
    outputs = [output.strip() for output in run.stdout.split(f"{_END_OF_STEP}\n")][:-1]
    assert len(outputs) == len(expected), run.stderr
    for (command, shown), output in zip(expected, outputs, strict=True):
        assert normalize(output) == normalize(shown), f"{command}\n{run.stderr}"
