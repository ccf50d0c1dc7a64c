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


def test_unset_secret_is_an_empty_file():
    contents = secret_files.contents(SETTINGS, SERVICES)
    assert contents["specstore_s3_secret_access_key"] == contents["factory_read_database_url"] == ""
    assert secret_files.contents(SETTINGS | {"S3_ACCESS_KEY_ID": "x"}, SERVICES)["specstore_s3_access_key_id"] == "x"
