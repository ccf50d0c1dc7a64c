"""Which container reaches which, tried from inside, by address: a name that is not resolved protects nothing."""

import pytest

WORDS = ["event", "factory", "orders", "sequence", "specstore"]
WEBS = {f"{word}-web" for word in WORDS}
SERVERS = {"postgres": 5432, "rabbitmq": 5672, "redis": 6379}
PORTS = SERVERS | dict.fromkeys(WEBS, 8000)
REACHED = {
    "gateway": WEBS,
    "console": WEBS,
    **{f"{word}-web": WEBS | {"postgres"} for word in WORDS},
    "factory-web": WEBS | {"postgres", "redis"},
    "event-worker": {"postgres", "rabbitmq"},
    "factory-worker": {"postgres", "rabbitmq", "redis", "factory-web"},
    "orders-worker": {"postgres", "rabbitmq", "sequence-web"},
    "sequence-worker": {"postgres", "rabbitmq"},
    "specstore-worker": {"postgres", "rabbitmq", "specstore-web"},
}


@pytest.mark.parametrize("stack", ["compose"], indirect=True)
@pytest.mark.parametrize("program", sorted(REACHED))
def test_a_container_reaches_what_it_needs_and_nothing_else(stack, program):
    assert stack.reached_from(program, PORTS) == REACHED[program]
