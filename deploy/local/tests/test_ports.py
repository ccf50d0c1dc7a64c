"""The ports of a stack."""

import socket

import pytest

from quintet_local import ports


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_not_free(taken):
    assert not ports.is_free(taken)
    assert ports.first_free_from(taken) > taken


def test_ports_are_chosen_below_those_for_outgoing_connections_and_kept(tmp_path):
    file = tmp_path / "ports.json"
    chosen = ports.choose(file)
    assert set(chosen) == set(ports.NAMES)
    assert len(set(chosen.values())) == len(ports.NAMES)
    assert all(ports.LOWEST <= port <= ports.HIGHEST for port in chosen.values())
    assert ports.choose(file) == ports.load(file) == chosen


def test_only_the_port_that_was_taken_meanwhile_is_chosen_anew(tmp_path, taken):
    file = tmp_path / "ports.json"
    chosen = ports.choose(file)
    file.write_text(file.read_text().replace(str(chosen["amqp"]), str(taken)))
    again = ports.choose(file)
    assert again["amqp"] != taken
    assert {name: again[name] for name in again if name != "amqp"} == {
        name: chosen[name] for name in chosen if name != "amqp"
    }
