"""Postgres runs as another user if required, and starts regardless of a stale lock file."""

import os
import subprocess

import pytest

from quintet_local import envfile, postgres_user
from quintet_local.layout import Layout
from quintet_local.ports import find_free_port
from quintet_local.postgres import Postgres
from quintet_testing.waiting import eventually


@pytest.fixture
def make_postgres(folder):
    """Create a server whose folder only its owner can enter."""
    layout = Layout(home=folder / "stack", env_file=folder / ".env")
    layout.create_folders()
    settings = dict.fromkeys(envfile.setting_names([]), "x")
    return lambda: Postgres(layout, settings, find_free_port(set()))


def can_start(postgres):
    program = postgres.program()
    with subprocess.Popen([*program.prefix, *program.command], stderr=subprocess.DEVNULL) as server:
        eventually(postgres.is_ready)
        server.terminate()
    return server.returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_root_runs_postgres_as_another_user_and_regains_its_data(make_postgres, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(postgres_user, "UNSHARE", ["false"])
        postgres = make_postgres()
        postgres.prepare()
        assert can_start(postgres)
        assert postgres.data.stat().st_uid == postgres_user.NOBODY
    if postgres_user.command_prefix() != postgres_user.UNSHARE:
        pytest.skip("user namespaces are not allowed here")
    postgres = make_postgres()
    postgres.prepare()
    assert can_start(postgres)
    assert postgres.data.stat().st_uid == 0


def test_data_in_the_legacy_folder_is_moved_to_the_stack(make_postgres):
    postgres = make_postgres()
    postgres.prepare()
    legacy = postgres.layout.nobody_dir / "postgres"
    legacy.parent.mkdir()
    postgres.data.rename(legacy)
    (legacy / "mark").touch()
    postgres.prepare()
    assert (postgres.data / "mark").exists()
    assert not legacy.parent.exists()


def test_lock_file_is_removed_only_if_its_process_is_not_a_server_of_this_folder(make_postgres):
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
