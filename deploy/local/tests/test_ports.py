"""Choosing and storing the ports of a stack."""

import socket

import pytest

from quintet_local import ports


@pytest.fixture
def used_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_port_with_a_listener_is_not_free(used_port):
    assert not ports.is_free(used_port)
    assert ports.next_free_port(used_port) > used_port


def test_ports_are_below_the_ephemeral_range_and_stored(tmp_path):
    file = tmp_path / "ports.json"
    chosen = ports.choose(file)
    assert set(chosen) == set(ports.NAMES)
    assert len(set(chosen.values())) == len(ports.NAMES)
    assert all(ports.MIN_PORT <= port <= ports.MAX_PORT for port in chosen.values())
    assert ports.choose(file) == ports.load(file) == chosen


def test_only_a_port_in_use_is_replaced(tmp_path, used_port):
    file = tmp_path / "ports.json"
    chosen = ports.choose(file)
    file.write_text(file.read_text().replace(str(chosen["amqp"]), str(used_port)))
    replaced = ports.choose(file)
    assert replaced["amqp"] != used_port
    assert {name: replaced[name] for name in replaced if name != "amqp"} == {
        name: chosen[name] for name in chosen if name != "amqp"
    }
