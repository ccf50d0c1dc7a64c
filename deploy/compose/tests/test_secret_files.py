"""Modes and contents of the secret files, and the marker that containers must be recreated."""

import stat

from quintet_compose import secret_files
from quintet_local import envfile

SERVICES = ["event", "factory", "specstore"]
SETTINGS = {name: f"secret of {name}" for name in envfile.setting_names(SERVICES)}


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_readable_in_containers_inside_a_private_folder(tmp_path):
    folder = tmp_path / ".secrets"
    secret_files.write(folder, SETTINGS, SERVICES)
    assert mode_of(folder) == 0o700
    assert {mode_of(file) for file in folder.iterdir()} == {0o444}
    assert (folder / "postgres_password").read_text() == "secret of POSTGRES_PASSWORD"


def test_password_is_quoted_in_a_url():
    contents = secret_files.contents(SETTINGS | {"EVENT_DB_PASSWORD": "a/b@c: d"}, SERVICES)
    assert contents["event_database_url"] == "postgresql://event:a%2Fb%40c%3A%20d@/quintet?host=/run/postgresql"
    assert contents["event_db_password"] == "a/b@c: d"


def test_changed_secret_is_marked_and_the_marker_is_kept_by_the_next_write(tmp_path):
    secret_files.write(tmp_path, SETTINGS, SERVICES)
    assert not (tmp_path / secret_files.CHANGED_MARKER).exists()
    secret_files.write(tmp_path, SETTINGS | {"REDIS_PASSWORD": "another"}, SERVICES)
    assert (tmp_path / secret_files.CHANGED_MARKER).exists()
    secret_files.write(tmp_path, SETTINGS | {"REDIS_PASSWORD": "another"}, SERVICES)
    assert (tmp_path / secret_files.CHANGED_MARKER).exists()
    assert (tmp_path / "redis_password").read_text() == "another"


def test_update_in_place_keeps_mounted_files_and_the_passwords_of_roles_not_yet_rotated(tmp_path):
    secret_files.write(tmp_path, SETTINGS, SERVICES)
    before = {file.name: file.read_text() for file in tmp_path.iterdir()}
    inodes = {file.name: file.stat().st_ino for file in tmp_path.iterdir()}
    changed = SETTINGS | {name: f"another {name}" for name in envfile.password_names(SERVICES)}
    secret_files.update_in_place(tmp_path, changed, SERVICES, rotated=["event"])
    assert {file.name: file.stat().st_ino for file in tmp_path.iterdir()} == inodes
    assert {mode_of(file) for file in tmp_path.iterdir()} == {0o444}
    kept = {f"{service}_{name}" for service in ("factory", "specstore") for name in ("db_password", "database_url")}
    contents = secret_files.contents(changed, SERVICES)
    assert {name for name in contents if (tmp_path / name).read_text() != contents[name]} == kept
    assert {name: (tmp_path / name).read_text() for name in kept} == {name: before[name] for name in kept}


def test_update_in_place_after_the_last_service_leaves_nothing_to_change(tmp_path):
    secret_files.write(tmp_path, SETTINGS, SERVICES)
    changed = SETTINGS | {name: f"another {name}" for name in envfile.password_names(SERVICES)}
    secret_files.update_in_place(tmp_path, changed, SERVICES, rotated=SERVICES)
    secret_files.write(tmp_path, changed, SERVICES)
    assert not (tmp_path / secret_files.CHANGED_MARKER).exists()


def test_unset_secret_is_an_empty_file():
    contents = secret_files.contents(SETTINGS, SERVICES)
    assert contents["specstore_s3_secret_access_key"] == contents["factory_read_database_url"] == ""
    assert secret_files.contents(SETTINGS | {"S3_ACCESS_KEY_ID": "x"}, SERVICES)["specstore_s3_access_key_id"] == "x"
