"""The addresses of the broker's nodes and their order."""

import pytest

from chassis.messaging.nodes import Node, Nodes

FORMS = {
    "amqp://u:p@127.0.0.1:1,127.0.0.2:2,127.0.0.3/v": [("127.0.0.1", 1), ("127.0.0.2", 2), ("127.0.0.3", 5672)],
    "amqp://u:p@127.0.0.1,127.0.0.2,127.0.0.3/v": [(f"127.0.0.{number}", 5672) for number in (1, 2, 3)],
    "amqps://127.0.0.1,127.0.0.2:7": [("127.0.0.1", 5671), ("127.0.0.2", 7)],
    "amqp://u:p@[::1]:9,127.0.0.1/v?heartbeat=5": [("::1", 9), ("127.0.0.1", 5672)],
}


def order(nodes: Nodes) -> list[str]:
    return [node.address for node in nodes.in_order()]


@pytest.mark.parametrize("url", FORMS)
def test_hosts_are_separated_by_commas(url: str) -> None:
    assert [(node.address, node.port) for node in Nodes(url).in_order()] == FORMS[url]


def test_each_node_has_the_rest_of_the_url() -> None:
    urls = [node.url for node in Nodes("amqp://u:p%40@127.0.0.1:1,127.0.0.2/v?heartbeat=5").in_order()]
    assert urls == ["amqp://u:p%40@127.0.0.1:1/v?heartbeat=5", "amqp://u:p%40@127.0.0.2/v?heartbeat=5"]


def test_what_failed_last_is_tried_last() -> None:
    nodes = Nodes("amqp://127.0.0.1,127.0.0.2,127.0.0.3")
    first, second, _ = nodes.in_order()
    nodes.put_last(first)
    assert order(nodes) == ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    nodes.put_last(second)
    assert order(nodes) == ["127.0.0.3", "127.0.0.1", "127.0.0.2"]


def test_a_name_without_an_address_is_skipped_and_tried_last() -> None:
    nodes = Nodes("amqp://nowhere.invalid,127.0.0.1,127.0.0.2")
    (first, *_) = nodes.in_order()
    assert first == Node("amqp://127.0.0.1", "127.0.0.1", 5672, "127.0.0.1")
    nodes.put_last(first)
    assert order(nodes) == ["127.0.0.2", "127.0.0.1"]


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="Port"):
        Nodes("amqp://127.0.0.1,127.0.0.2:65536")
