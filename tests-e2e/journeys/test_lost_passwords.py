"""`make up` immediately reports data whose passwords have been lost, and does not change it."""

import subprocess
import sys

import pytest

from quintet_e2e.stacks import CHECKOUT, environment_for


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["compose"], indirect=True)
def test_up_rejects_volumes_without_their_env_file(stack, client):
    file, saved = stack.home / ".env", stack.home / ".env.saved"
    file.rename(saved)
    try:
        result = subprocess.run(
            [sys.executable, str(CHECKOUT / "deploy" / "compose"), "up"],
            env=environment_for(stack.home),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not file.exists()
    finally:
        saved.rename(file)
    assert result.returncode == 1
    assert "_postgres" in result.stderr and str(file) in result.stderr and "docker volume rm" in result.stderr
    assert client.get("/sequences").ok
