"""Each container can connect only to the programs that it needs, even by IP address."""

import pytest

SERVICES = ["event", "factory", "orders", "sequence", "specstore"]
WEB_PROGRAMS = {f"{service}-web" for service in SERVICES}
PORTS = dict.fromkeys(WEB_PROGRAMS, 8000) | {"console": 8000, "rabbitmq": 5672, "redis": 6379}
REACHABLE = {
    "gateway": WEB_PROGRAMS | {"console"},
    "console": WEB_PROGRAMS | {"console"},
    **{f"{service}-web": {f"{service}-web", "console"} for service in SERVICES},
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


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["compose"], indirect=True)
@pytest.mark.parametrize("program", sorted(REACHABLE))
def test_container_reaches_only_programs_that_it_needs(stack, program):
    assert stack.reachable_from(program, PORTS) == REACHABLE[program]
