"""A backup and the services agree; what a restore does is tested by tests-e2e/journeys/test_backup.py."""

from chassis.messaging import relay
from quintet_local import backup


def test_lock_of_a_relay_is_that_of_the_chassis():
    assert backup.RELAY_LOCK_NAMESPACE == relay.LOCK_NAMESPACE
    assert [backup.lock_key(service) for service in ("event", "orders")] == [
        relay.lock_key(service) for service in ("event", "orders")
    ]
