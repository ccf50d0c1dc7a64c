"""Data whose passwords are gone is neither taken over nor waited for: `make up` says what is wrong, at once."""

import subprocess
import sys

import pytest

from quintet_e2e.stacks import CHECKOUT, environment_for


@pytest.mark.parametrize("stack", ["compose"], indirect=True)
def test_up_refuses_volumes_without_their_env_file_and_changes_nothing(stack, client):
    file, kept = stack.home / ".env", stack.home / ".env.kept"
    file.rename(kept)
    try:
        refused = subprocess.run(
            [sys.executable, str(CHECKOUT / "deploy" / "compose"), "up"],
            env=environment_for(stack.home),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not file.exists()
    finally:
        kept.rename(file)
    assert refused.returncode == 1
    assert "_postgres" in refused.stderr and str(file) in refused.stderr and "docker volume rm" in refused.stderr
    assert client.get("/sequences").ok
