"""Help pages fit on one screen, no module that a help page does not need is imported, and shells complete commands."""

import os
import shutil
import subprocess
import sys

import pytest

from quintet.cli.app import COMMANDS

COLUMNS, ROWS = 80, 24
PAGES = [[]]
for commands in COMMANDS.values():
    for name, handler in commands.items():
        PAGES.append([name])
        PAGES += [] if callable(handler) else [[name, subname] for subname in handler[1]]


def quintet(*arguments, **environment):
    inherited = {name: value for name, value in os.environ.items() if name not in ("QUINTET_URL", "COLUMNS", "LINES")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "quintet", *arguments],
        capture_output=True,
        text=True,
        env=inherited | environment,
    )


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_help_fits_on_one_screen(page):
    result = quintet(*page, "--help")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    # A person types the command in the first row, and the next one in the last.
    assert len(lines) <= ROWS - 2
    assert max(map(len, lines)) <= COLUMNS
    assert "..." not in result.stdout.replace("ARGS]...", "").replace("COMMAND...", ""), "a text was cut off"
    assert "\x1b" not in result.stdout


def test_help_lists_commands_in_their_groups():
    lines = quintet("-h").stdout.splitlines()
    names = [name for commands in COMMANDS.values() for name in commands]
    assert [line[12:].split()[0] for line in lines[2 : 2 + len(names)]] == names
    assert [line.split(":")[0] for line in lines if line[:1].isalpha() and ": " in line[:12]][1:-1] == list(COMMANDS)


def test_every_option_is_described():
    for page in PAGES[1:]:
        options = quintet(*page, "--help").stdout.partition("Options:\n")[2].partition("\n\n")[0]
        for line in options.splitlines():
            assert line.split()[0] == line.split()[0].lower(), (page, line)
            assert len(line.split("  ", 2)[-1].strip()) > 3, (page, line)


def test_version_is_printed():
    version = quintet("--version").stdout.split()
    assert version[0] == "quintet" and version[1][0].isdigit()


def test_help_imports_neither_http_client_nor_rich():
    code = "import sys, quintet.cli.app; print(sorted({'httpx', 'rich', 'yaml', 'quintet.models'} & {*sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_usage_error_names_the_argument():
    result = quintet("next")
    assert result.returncode == 2
    assert "NAME" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_valid(shell, tmp_path):
    result = quintet("completion", shell)
    assert result.returncode == 0 and "_QUINTET_COMPLETE" in result.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(result.stdout)
    check = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True)
    assert (check.returncode, check.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("quintet se", ["sequence"]),
        ("quintet sequence ", ["list", "create", "show"]),
        ("quintet import --d", ["--dry-run", "--date-format"]),
        ("quintet completion f", ["fish"]),
    ],
)
def test_bash_completes_commands_and_options(line, expected, tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    program = tmp_path / "quintet"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m quintet "$@"\n')
    program.chmod(0o755)
    words = line.split(" ")
    script = (
        f'eval "$(quintet completion bash)"\nCOMP_WORDS=({" ".join(words[:-1])} "{words[-1]}")\n'
        f'COMP_CWORD={len(words) - 1}\n_quintet_completion quintet\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n'
    )
    path = f"{tmp_path}:{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=os.environ | {"PATH": path}, check=True
    )
    assert sorted(result.stdout.split()) == sorted(expected)


@pytest.mark.parametrize(("shell", "separator"), [("zsh", '":"'), ("fish", "\t")])
def test_other_shells_receive_commands_with_descriptions(shell, separator):
    """The protocols of zsh and fish, also where these shells are not installed."""
    variables = {"_QUINTET_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "quintet sequence cr"}
    result = quintet(**variables, _TYPER_COMPLETE_FISH_ACTION="get-args")
    assert result.returncode == 0, result.stderr
    assert f"create{separator}Create a sequence" in result.stdout
