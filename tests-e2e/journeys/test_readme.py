"""The README's first round, typed in as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

DEPLOY = f"{sys.executable} {Path(__file__).resolve().parents[2] / 'deploy'}"
README = Path(__file__).resolve().parents[2] / "README.md"

# What differs from run to run: ids, times, and how far a sequence or a stream has come.
VARYING = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
    (r"\b[0-9a-f]{32}\b", "<request>"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "<time>"),
    (r'("id":"sequence","name":"sequence-service","time":")[^"]+', r"\1<time>"),
    (r'("stream":"sequence","sequence":)\d+(,"position":)\d+', r"\1<n>\2<n>"),
    (r"\b[1-9]\d{3}\b", "<number>"),
]


def rounds():
    """(command, expected output) pairs of all console blocks."""
    for block in re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def steady(text):
    for pattern, replacement in VARYING:
        text = re.sub(pattern, replacement, text)
    return text.strip()


def test_the_first_round_answers_as_the_readme_shows(stack, tmp_path):
    address = stack.url.replace("://", f"://{stack.user}:{stack.password}@")
    steps = list(rounds())
    script = "\n".join(f"{command}\nprintf '\\n%s\\n' ----" for command, _ in steps)
    script = script.replace("make load-data", f"STACK_DIR={stack.home} {DEPLOY}/{stack.kind} load-data")
    script = script.replace("U=$(make -s url)", f"U={address}").replace(
        "/tmp/events.json", str(tmp_path / "events.json")
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=README.parent, timeout=110)
    answers = [answer.strip() for answer in done.stdout.split("----\n")][:-1]
    assert [steady(answer) for answer in answers] == [steady(output) for _, output in steps], done.stderr
