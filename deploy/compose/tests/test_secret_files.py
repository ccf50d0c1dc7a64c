"""Secret files have the right modes and contents, and a change is remembered until the containers have it."""

import stat

from quintet_compose import secret_files
from quintet_local import envfile

WORDS = ["event", "factory", "specstore"]
SETTINGS = {name: f"secret of {name}" for name in envfile.names(WORDS)}


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_any_user_of_a_container_reads_them_and_nobody_else_gets_there(tmp_path):
    folder = tmp_path / ".secrets"
    secret_files.write(folder, SETTINGS, WORDS)
    assert mode_of(folder) == 0o700
    assert {mode_of(file) for file in folder.iterdir()} == {0o444}
    assert (folder / "postgres_password").read_text() == "secret of POSTGRES_PASSWORD"


def test_a_password_is_quoted_in_an_address():
    made = secret_files.contents(SETTINGS | {"EVENT_DB_PASSWORD": "a/b@c: d"}, WORDS)
    assert made["event_database_url"] == "postgresql://event:a%2Fb%40c%3A%20d@/quintet?host=/run/postgresql"
    assert made["event_db_password"] == "a/b@c: d"


def test_a_change_is_marked_until_containers_are_made_anew(tmp_path):
    secret_files.write(tmp_path, SETTINGS, WORDS)
    assert not (tmp_path / secret_files.CHANGED).exists()
    secret_files.write(tmp_path, SETTINGS | {"REDIS_PASSWORD": "another"}, WORDS)
    assert (tmp_path / secret_files.CHANGED).exists()
    secret_files.write(tmp_path, SETTINGS | {"REDIS_PASSWORD": "another"}, WORDS)
    assert (tmp_path / secret_files.CHANGED).exists()
    assert (tmp_path / "redis_password").read_text() == "another"


def test_what_is_not_set_is_an_empty_file():
    made = secret_files.contents(SETTINGS, WORDS)
    assert made["specstore_s3_secret_access_key"] == made["factory_read_database_url"] == ""
    assert secret_files.contents(SETTINGS | {"S3_ACCESS_KEY_ID": "x"}, WORDS)["specstore_s3_access_key_id"] == "x"
