"""The addresses of the replicas of a service."""

import pytest

from console_service.replicas import replica_urls


@pytest.mark.parametrize("url", ["unix:/run/orders.sock", "http://127.0.0.1:8000", "http://unknown-host.invalid:8000"])
def test_address_without_several_replicas_is_used_as_it_is(url):
    assert replica_urls(url) == [url]


def test_name_is_replaced_by_the_address_of_each_replica():
    assert replica_urls("http://localhost:8000") == ["http://127.0.0.1:8000"]
