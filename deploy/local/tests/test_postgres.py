"""Postgres runs as somebody else where it has to, and starts whatever its lock file says."""

import os
import subprocess

import pytest

from quintet_local import envfile, postgres_user
from quintet_local.layout import Layout
from quintet_local.ports import some_free
from quintet_local.postgres import Postgres
from quintet_testing.waiting import eventually


@pytest.fixture
def make_postgres(folder):
    """In a folder that only its owner can enter."""
    layout = Layout(home=folder / "stack", env_file=folder / ".env")
    layout.make()
    settings = dict.fromkeys(envfile.names([]), "x")
    return lambda: Postgres(layout, settings, some_free(set()))


def starts(postgres):
    program = postgres.program()
    with subprocess.Popen([*program.prefix, *program.command], stderr=subprocess.DEVNULL) as server:
        eventually(postgres.answers, within_seconds=30)
        server.terminate()
    return server.returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_root_runs_it_as_nobody_and_takes_the_data_back(make_postgres, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(postgres_user, "UNSHARE", ["false"])
        postgres = make_postgres()
        postgres.prepare()
        assert starts(postgres)
        assert postgres.data.stat().st_uid == postgres_user.NOBODY
    if postgres_user.prefix() != postgres_user.UNSHARE:
        pytest.skip("user namespaces are not allowed here")
    postgres = make_postgres()
    postgres.prepare()
    assert starts(postgres)
    assert postgres.data.stat().st_uid == 0


def test_data_that_nobody_kept_elsewhere_is_moved_to_the_stack(make_postgres):
    postgres = make_postgres()
    postgres.prepare()
    former = postgres.layout.for_nobody / "postgres"
    former.parent.mkdir()
    postgres.data.rename(former)
    (former / "mark").touch()
    postgres.prepare()
    assert (postgres.data / "mark").exists()
    assert not former.parent.exists()


def test_the_process_id_in_a_stale_lock_file_may_belong_to_another_process_by_now(make_postgres):
    postgres = make_postgres()
    postgres.prepare()
    lock = postgres.data / "postmaster.pid"
    for pid in (os.getpid(), 1, 2**22 + 1):
        lock.write_text(f"{pid}\n{postgres.data}\n")
        postgres.remove_stale_lock()
        assert not lock.exists()
    with subprocess.Popen(["sleep", "60"], cwd=postgres.data) as server:
        lock.write_text(f"{server.pid}\n{postgres.data}\n")
        postgres.remove_stale_lock()
        server.kill()
    assert lock.exists()
