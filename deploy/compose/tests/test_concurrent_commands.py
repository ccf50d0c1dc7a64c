"""Commands that change the same stack run one after another."""

import argparse
from concurrent.futures import ThreadPoolExecutor

import pytest

from quintet_compose import cli
from quintet_compose.stack import Compose
from quintet_local import envfile

CONCURRENCY = 8

pytestmark = pytest.mark.usefixtures("engine")


def test_concurrent_first_commands_create_one_stack_with_one_set_of_passwords(tmp_path, monkeypatch):
    home = tmp_path / "new"
    monkeypatch.setenv("STACK_DIR", str(home))

    def create(_number):
        stack = Compose()
        cli.env(stack, argparse.Namespace())
        return stack.identity, stack.settings

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        (first, settings), *others = pool.map(create, range(CONCURRENCY))
    assert others == [(first, settings)] * (CONCURRENCY - 1)
    assert envfile.load(home / ".env") == settings
    assert (home / ".secrets" / "postgres_password").read_text() == settings["POSTGRES_PASSWORD"]
    assert not (home / ".secrets" / "changed").exists()
