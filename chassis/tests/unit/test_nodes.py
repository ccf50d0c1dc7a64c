"""The addresses of the broker's nodes, and the order in which they are tried."""

import pytest

from chassis.messaging.nodes import Node, Nodes

ADDRESSES_BY_URL = {
    "amqp://u:p@127.0.0.1:1,127.0.0.2:2,127.0.0.3/v": [("127.0.0.1", 1), ("127.0.0.2", 2), ("127.0.0.3", 5672)],
    "amqp://u:p@127.0.0.1,127.0.0.2,127.0.0.3/v": [(f"127.0.0.{number}", 5672) for number in (1, 2, 3)],
    "amqps://127.0.0.1,127.0.0.2:7": [("127.0.0.1", 5671), ("127.0.0.2", 7)],
    "amqp://u:p@[::1]:9,127.0.0.1/v?heartbeat=5": [("::1", 9), ("127.0.0.1", 5672)],
}


def addresses(nodes: Nodes) -> list[str]:
    return [node.address for node in nodes.in_order()]


@pytest.mark.parametrize("url", ADDRESSES_BY_URL)
def test_parses_hosts_separated_by_commas(url: str) -> None:
    assert [(node.address, node.port) for node in Nodes(url).in_order()] == ADDRESSES_BY_URL[url]


def test_node_url_keeps_credentials_path_and_query() -> None:
    urls = [node.url for node in Nodes("amqp://u:p%40@127.0.0.1:1,127.0.0.2/v?heartbeat=5").in_order()]
    assert urls == ["amqp://u:p%40@127.0.0.1:1/v?heartbeat=5", "amqp://u:p%40@127.0.0.2/v?heartbeat=5"]


def test_most_recent_failure_is_tried_last() -> None:
    nodes = Nodes("amqp://127.0.0.1,127.0.0.2,127.0.0.3")
    first, second, _ = nodes.in_order()
    nodes.record_failure(first)
    assert addresses(nodes) == ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    nodes.record_failure(second)
    assert addresses(nodes) == ["127.0.0.3", "127.0.0.1", "127.0.0.2"]


def test_unresolvable_host_is_skipped_and_tried_last() -> None:
    nodes = Nodes("amqp://nowhere.invalid,127.0.0.1,127.0.0.2")
    (first, *_) = nodes.in_order()
    assert first == Node("amqp://127.0.0.1", "127.0.0.1", 5672, "127.0.0.1")
    nodes.record_failure(first)
    assert addresses(nodes) == ["127.0.0.2", "127.0.0.1"]


def test_rejects_an_invalid_port() -> None:
    with pytest.raises(ValueError, match="Port"):
        Nodes("amqp://127.0.0.1,127.0.0.2:65536")
