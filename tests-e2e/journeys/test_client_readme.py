"""The examples in the README of the Python client, run as it shows them."""

import os
import re
import subprocess
import sys

import pytest

from quintet_e2e.stacks import CHECKOUT, ON_ONE_STACK

pytestmark = ON_ONE_STACK

CLIENT = CHECKOUT / "client"
# The tour has a sequence `invoice` with another range, and its journey uses the same stack.
README = (CLIENT / "README.md").read_text(encoding="utf-8").replace('("invoice"', '("invoice-of-client"')
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
TEN_LINES = EXAMPLES[0]
COMMAND_SECONDS = 240


@pytest.fixture
def run(stack, tmp_path):
    """Return a function that runs a Python program in a folder with the files of the README, and returns its output."""
    for name, content in re.findall(r"`(\S+\.(?:csv|yaml))`:\n\n```\w+\n(.*?)^```$", README, re.DOTALL | re.MULTILINE):
        (tmp_path / name).write_text(content, encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}

    def run(python, *arguments):
        result = subprocess.run(
            [python, *arguments],
            cwd=tmp_path,
            env=inherited | {"QUINTET_URL": stack.client_url()},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run


def test_each_service_does_its_main_job_in_ten_lines(run):
    statements = [line for line in TEN_LINES.splitlines() if line.strip()]
    assert len(statements) <= 10
    output = run(sys.executable, "-W", "error", "-c", TEN_LINES)
    assert re.fullmatch(r"INV-\d{5}: 1 valid orders, 1 invalid; 7 files of wines\n", output)


def test_all_examples_run_in_order(run):
    output = run(sys.executable, "-W", "error", "-c", "\n".join(EXAMPLES))
    assert "mail about INV-" in output
    assert "404 sequence no-such-sequence not found" in output


@pytest.mark.slow
def test_examples_are_typed(run, tmp_path):
    (tmp_path / "examples.py").write_text("\n".join(EXAMPLES), encoding="utf-8")
    run(sys.executable, "-m", "mypy", "--strict", "--python-version", "3.10", "--cache-dir", "cache", "examples.py")


@pytest.mark.extended
def test_client_is_installed_into_an_empty_environment(run, tmp_path):
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", CLIENT)
    assert "INV-" in run(python, "-W", "error", "-c", TEN_LINES)
    # Nothing of this checkout is used.
    assert str(environment) in run(python, "-c", "import quintet; print(quintet.__file__)")
