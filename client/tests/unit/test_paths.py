"""Names lead to their own resource, and requests to their own server. Each test of requests runs with both clients."""

import pytest

from quintet import InvalidInput
from quintet._paths import segment, segments


def test_name_is_one_segment_of_a_path():
    assert segment("a/b ?#%ü") == "a%2Fb%20%3F%23%25%C3%BC"
    assert segment("...") == "..."
    assert segments("folder/reds 2026.csv") == "folder/reds%202026.csv"


@pytest.mark.parametrize("name", ["", ".", "..", "\ud800"])
@pytest.mark.parametrize(
    "use",
    [
        lambda client, name: client.sequences.delete(name),
        lambda client, name: client.streams(name).get(),
        lambda client, name: client.streams("s").consumer(name).delete(),
        lambda client, name: client.streams("s").erase(name),
        lambda client, name: client.orders.task(name).undo(),
        lambda client, name: client.datasets.delete_file(f"a/{name}/b"),
        lambda client, name: client.datasets.flow(f"ann/wines/{name}").cancel(),
        lambda client, name: client.dead_letters.delete(name),
    ],
)
def test_name_that_leads_to_another_resource_is_not_sent(server, call, use, name):
    with pytest.raises(InvalidInput, match="name"):
        call(lambda client: use(client, name))
    assert server.requests == []


@pytest.mark.parametrize("path", ["sequences", "@127.0.0.1/", ":1/", ".example/", "", "http://127.0.0.1/", "/\n"])
def test_path_that_leads_to_another_server_is_not_sent(server, call, path):
    with pytest.raises(InvalidInput, match="path"):
        call(lambda client: client.request("GET", path))
    assert server.requests == []


def test_parameters_are_added_to_those_of_the_path(server, call):
    for _ in range(3):
        server.reply(200)
    call(lambda client: client.request("GET", "/x?a=1", params={"b": True, "c": [2, "ü"], "d": None}))
    call(lambda client: client.request("GET", "/x?a=1", params={"b": None}))
    call(lambda client: client.request("GET", "/x?a=1", params={}))
    assert [path for _, path, _, _ in server.requests] == ["/x?a=1&b=true&c=2&c=%C3%BC", "/x?a=1", "/x?a=1"]


def test_header_that_cannot_be_sent_is_invalid(server, call):
    with pytest.raises(InvalidInput, match="header"):
        call(lambda client: client.streams("s", producer="a\nX-Other: b").append("A", {}))
    assert server.requests == []
