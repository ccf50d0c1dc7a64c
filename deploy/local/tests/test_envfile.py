"""The .env file: generated secrets, permissions, and reading back what was written."""

import stat

import pytest

from quintet_local import envfile


def mode_of(file):
    return stat.S_IMODE(file.stat().st_mode)


def test_secrets_are_generated_once_and_readable_only_by_owner(tmp_path):
    file = tmp_path / ".env"
    first = envfile.ensure(file, ["sequence"], lambda port: port)
    assert mode_of(file) == 0o600
    assert (first["GATEWAY_PORT"], first["METRICS_PORT"]) == ("8080", "9180")
    assert len(first["SEQUENCE_DB_PASSWORD"]) >= 32
    assert envfile.ensure(file, ["sequence"], lambda port: port + 1) == first
    assert envfile.load(file) == first


def test_all_secrets_differ(tmp_path):
    settings = envfile.ensure(tmp_path / ".env", ["sequence", "event"], lambda port: port)
    secrets = [value for name, value in settings.items() if name.endswith("PASSWORD")]
    assert len(secrets) == len(set(secrets)) == 8


def test_added_service_gets_passwords_and_other_lines_stay_unchanged(tmp_path):
    file = tmp_path / ".env"
    file.write_text("# a comment\nLOG_LEVEL=debug\nGATEWAY_PORT=9000")
    before = envfile.ensure(file, ["sequence"], lambda port: port)
    after = envfile.ensure(file, ["sequence", "orders"], lambda port: port)
    assert file.read_text().startswith("# a comment\nLOG_LEVEL=debug\nGATEWAY_PORT=9000\n")
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"ORDERS_DB_PASSWORD", "ORDERS_AMQP_PASSWORD"}


def test_mode_is_restricted_if_others_could_read_the_file(tmp_path):
    file = tmp_path / ".env"
    file.touch(mode=0o644)
    file.chmod(0o644)
    envfile.ensure(file, [], lambda port: port)
    assert mode_of(file) == 0o600


def test_gateway_port_is_next_free_port(tmp_path):
    settings = envfile.ensure(tmp_path / ".env", [], lambda port: port + 3)
    assert settings["GATEWAY_PORT"] == "8083"


@pytest.mark.parametrize(
    "line, value",
    [
        ("A=b # why", "b"),
        ("A='b # c'", "b # c"),
        ('A="b c"', "b c"),
        ("A=$HOME/${USER}", "$HOME/${USER}"),
        ("export A=b", "b"),
        ("A=", ""),
    ],
)
def test_parses_quotes_and_comments_without_expanding_references(tmp_path, line, value):
    file = tmp_path / ".env"
    file.write_text(f"# a comment\n\n{line}\n")
    assert envfile.load(file) == {"A": value}


@pytest.mark.parametrize("value", ["plain", "a b", "it's", "#1 $HOME", 'say "x"', "back\\slash", ""])
def test_written_value_is_read_unchanged(tmp_path, value):
    file = tmp_path / ".env"
    file.write_text("A=old\nB=stays\n")
    envfile.set_values(file, {"A": value})
    assert envfile.load(file) == {"A": value, "B": "stays"}
