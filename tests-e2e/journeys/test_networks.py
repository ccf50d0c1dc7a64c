"""Which container reaches which, tried from inside, by address: a name that is not resolved protects nothing."""

import pytest

WORDS = ["event", "factory", "orders", "sequence", "specstore"]
WEBS = {f"{word}-web" for word in WORDS}
PORTS = dict.fromkeys(WEBS, 8000) | {"console": 8000, "rabbitmq": 5672, "redis": 6379}
REACHED = {
    "gateway": WEBS | {"console"},
    "console": WEBS | {"console"},
    **{f"{word}-web": {f"{word}-web", "console"} for word in WORDS},
    "factory-web": {"factory-web", "console", "redis"},
    "orders-web": {"orders-web", "console", "sequence-web"},
    "sequence-web": {"sequence-web", "console", "orders-web"},
    "event-worker": {"rabbitmq"},
    "factory-worker": {"rabbitmq", "redis", "factory-web"},
    "orders-worker": {"rabbitmq", "sequence-web", "orders-web"},
    "sequence-worker": {"rabbitmq"},
    "specstore-worker": {"rabbitmq", "specstore-web"},
    "postgres": set(),
}


@pytest.mark.parametrize("stack", ["compose"], indirect=True)
@pytest.mark.parametrize("program", sorted(REACHED))
def test_a_container_reaches_what_it_needs_and_nothing_else(stack, program):
    assert stack.reached_from(program, PORTS) == REACHED[program]
