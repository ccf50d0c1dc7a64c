"""The .env file."""

import stat

import pytest

from quintet_local import envfile


def mode_of(file):
    return stat.S_IMODE(file.stat().st_mode)


def test_secrets_are_made_once_and_only_for_their_owner(tmp_path):
    file = tmp_path / ".env"
    first = envfile.ensure(file, ["sequence"], lambda port: port)
    assert mode_of(file) == 0o600
    assert first["GATEWAY_PORT"] == "8080"
    assert len(first["SEQUENCE_DB_PASSWORD"]) >= 32
    assert envfile.ensure(file, ["sequence"], lambda port: port + 1) == first
    assert envfile.load(file) == first


def test_no_two_secrets_are_alike(tmp_path):
    made = envfile.ensure(tmp_path / ".env", ["sequence", "event"], lambda port: port)
    secrets = [value for name, value in made.items() if name.endswith("PASSWORD")]
    assert len(secrets) == len(set(secrets)) == 8


def test_a_service_that_joins_gets_its_password_and_nothing_else_changes(tmp_path):
    file = tmp_path / ".env"
    file.write_text("# mine\nLOG_LEVEL=debug\nGATEWAY_PORT=9000")
    before = envfile.ensure(file, ["sequence"], lambda port: port)
    after = envfile.ensure(file, ["sequence", "orders"], lambda port: port)
    assert file.read_text().startswith("# mine\nLOG_LEVEL=debug\nGATEWAY_PORT=9000\n")
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"ORDERS_DB_PASSWORD", "ORDERS_AMQP_PASSWORD"}


def test_a_file_that_others_could_read_is_closed(tmp_path):
    file = tmp_path / ".env"
    file.touch(mode=0o644)
    file.chmod(0o644)
    envfile.ensure(file, [], lambda port: port)
    assert mode_of(file) == 0o600


def test_the_gateways_port_is_the_next_free_one(tmp_path):
    made = envfile.ensure(tmp_path / ".env", [], lambda port: port + 3)
    assert made["GATEWAY_PORT"] == "8083"


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
def test_quotes_comments_and_references(tmp_path, line, value):
    file = tmp_path / ".env"
    file.write_text(f"# a comment\n\n{line}\n")
    assert envfile.load(file) == {"A": value}


@pytest.mark.parametrize("value", ["plain", "a b", "it's", "#1 $HOME", 'say "x"', "back\\slash", ""])
def test_what_is_written_is_read_again(tmp_path, value):
    file = tmp_path / ".env"
    file.write_text("A=old\nB=stays\n")
    envfile.put(file, {"A": value})
    assert envfile.load(file) == {"A": value, "B": "stays"}
