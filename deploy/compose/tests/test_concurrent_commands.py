"""Commands that change the same stack run one after the other."""

import argparse
from concurrent.futures import ThreadPoolExecutor

import pytest

from quintet_compose import cli
from quintet_compose.stack import Compose
from quintet_local import envfile

AT_ONCE = 8

pytestmark = pytest.mark.usefixtures("engine")


def test_many_first_commands_at_once_make_one_stack_with_one_set_of_passwords(tmp_path, monkeypatch):
    home = tmp_path / "new"
    monkeypatch.setenv("STACK_DIR", str(home))

    def make(_number):
        stack = Compose()
        cli.env(stack, argparse.Namespace())
        return stack.identity, stack.settings

    with ThreadPoolExecutor(AT_ONCE) as pool:
        (first, settings), *others = pool.map(make, range(AT_ONCE))
    assert others == [(first, settings)] * (AT_ONCE - 1)
    assert envfile.load(home / ".env") == settings
    assert (home / ".secrets" / "postgres_password").read_text() == settings["POSTGRES_PASSWORD"]
    assert not (home / ".secrets" / "changed").exists()
