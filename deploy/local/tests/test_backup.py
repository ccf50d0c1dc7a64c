"""Checks before a backup or a restore changes data; the journeys of tests-e2e run both on a whole stack."""

import argparse
import json
import shutil
import stat

import pytest

from quintet_local import backup, commands, new_folder, restore, startup
from quintet_local.layout import Layout
from quintet_local.progress import StackError
from quintet_local.stack import Stack


@pytest.fixture
def stack(folder):
    return Stack(Layout(home=folder, env_file=folder / ".env"))


@pytest.fixture
def saved(stack, tmp_path):
    """The folder of a backup, with arbitrary contents in place of a dump."""
    with new_folder.create(tmp_path / "saved") as new:
        (new / backup.USERS).mkdir()
        for name in (
            backup.DATABASE,
            backup.FILES,
            backup.DEFINITIONS,
            *(f"users/{file}" for file in backup.USER_FILES),
        ):
            (new / name).write_text(name)
        manifest = {"format": backup.FORMAT, "version": "1", "services": ["orders"], "files": backup.FILES}
        (new / backup.MANIFEST).write_text(json.dumps(manifest | {"sha256": new_folder.digests(new)}))
    return tmp_path / "saved"


def change_manifest(folder, **changes):
    file = folder / backup.MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_complete_backup_is_accepted_with_and_without_checksums(stack, saved):
    assert restore.read_manifest(stack, saved)["services"] == ["orders"]
    change_manifest(saved, sha256={})
    assert restore.read_manifest(stack, saved)["services"] == ["orders"]


@pytest.mark.parametrize("name", [backup.DATABASE, backup.FILES, "users/htpasswd"])
def test_incomplete_or_damaged_backup_is_rejected(stack, saved, name):
    (saved / name).write_text("damaged")
    with pytest.raises(StackError, match=f"nothing was changed: .*{name} is damaged"):
        restore.read_manifest(stack, saved)
    (saved / name).unlink()
    with pytest.raises(StackError, match=f"nothing was changed: .* incomplete, because {name}"):
        restore.read_manifest(stack, saved)


def test_backup_with_a_service_that_the_code_lacks_is_rejected(stack, saved):
    change_manifest(saved, services=["invoices", "orders"])
    with pytest.raises(StackError, match="has data of invoices, which this version lacks"):
        restore.read_manifest(stack, saved)


@pytest.mark.parametrize(
    ("bucket", "files", "problem"),
    [("b", backup.FILES, "must not be set"), ("", "s3://b", "are in s3://b, so S3_BUCKET in .env must be set")],
)
def test_backup_whose_files_the_stack_would_not_find_is_rejected(stack, bucket, files, problem):
    stack.__dict__["settings"] = {"S3_BUCKET": bucket}
    with pytest.raises(StackError, match=problem):
        restore.reject_other_storage(stack, {"files": files})


def test_backup_in_the_same_kind_of_storage_is_accepted(stack):
    for bucket, files in (("", backup.FILES), ("b", "s3://b"), ("copy", "s3://b")):
        stack.__dict__["settings"] = {"S3_BUCKET": bucket}
        restore.reject_other_storage(stack, {"files": files})


@pytest.mark.parametrize("text", ["-1", "1.5", "many", "", "1" * 13])
def test_skip_is_rejected_unless_it_is_a_count(text):
    with pytest.raises(argparse.ArgumentTypeError, match="must be an integer"):
        restore.skip_count(text)
    assert restore.skip_count("0") == 0


def test_interrupted_restore_blocks_and_names_a_command_that_can_be_copied(folder, stack):
    (folder / restore.IN_PROGRESS).write_text("/mnt/my backups/monday\n")
    with pytest.raises(StackError, match="FROM='/mnt/my backups/monday'"):
        restore.reject_interrupted(stack.env_file)


def test_neither_up_nor_backup_run_while_a_restore_is_interrupted(folder, stack):
    """Both check under the lock: a restore that holds it may be killed while they wait."""
    stack.layout.create_folders()
    (folder / ".env").write_text("ADMIN_PASSWORD=x\n")
    (folder / restore.IN_PROGRESS).write_text("/mnt/monday\n")
    with pytest.raises(StackError, match="a restore was interrupted"):
        startup.up(stack)
    with pytest.raises(StackError, match="a restore was interrupted"):
        commands.back_up(stack, argparse.Namespace(folder=str(folder / "b")))
    assert not (folder / "b").exists()


def test_backup_of_a_folder_without_a_stack_creates_nothing(folder, stack):
    with pytest.raises(StackError, match="run `make up`"):
        commands.back_up(stack, argparse.Namespace(folder=str(folder / "b")))
    assert list(folder.iterdir()) == []


def test_new_folder_appears_when_it_is_complete_and_is_private(tmp_path):
    folder = tmp_path / "backups" / "monday"
    with new_folder.create(folder) as new:
        (new / "users").mkdir()
        (new / "users" / "htpasswd").write_text("ann")
        assert not folder.exists()
    assert list(folder.parent.iterdir()) == [folder]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "users", folder / "users" / "htpasswd")]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize(
    "error", [StackError("pg_dump failed"), OSError("No space left on device"), KeyboardInterrupt()]
)
def test_failed_folder_leaves_no_files_and_no_other_folder_is_touched(tmp_path, error):
    (tmp_path / "monday.new").mkdir()
    with pytest.raises((StackError, KeyboardInterrupt)), new_folder.create(tmp_path / "monday") as new:
        (new / "file").write_text("x")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["monday.new"]


def test_folder_that_a_killed_command_left_is_replaced(tmp_path):
    with new_folder.create(tmp_path / "monday") as new:
        shutil.copytree(new, tmp_path / "left")
        left = new
    shutil.rmtree(tmp_path / "monday")
    (tmp_path / "left").rename(left)
    (left / "old").write_text("x")
    with new_folder.create(tmp_path / "monday"):
        pass
    assert [*(tmp_path / "monday").iterdir()] == []


def test_parent_that_is_not_a_folder_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="could not be written"), new_folder.create(tmp_path / "file" / "monday"):
        pass
