"""Each container can connect only to the programs that it needs, even by IP address."""

import pytest

SERVICES = ["event", "factory", "orders", "sequence", "specstore"]
WEB_PROGRAMS = {f"{service}-web" for service in SERVICES}
WORKERS = {f"{service}-worker" for service in SERVICES}
PORTS = dict.fromkeys(WEB_PROGRAMS, 8000) | {"console": 8000, "rabbitmq": 5672, "redis": 6379}
PORTS |= dict.fromkeys(WORKERS, 9100)
REACHABLE = {
    "gateway": WEB_PROGRAMS | {"console"},
    "console": WEB_PROGRAMS | {"console"},
    **{f"{service}-web": {f"{service}-web", "console"} for service in SERVICES},
    "factory-web": {"factory-web", "console", "redis", "factory-worker"},
    "orders-web": {"orders-web", "console", "sequence-web", "orders-worker"},
    "sequence-web": {"sequence-web", "console", "orders-web", "orders-worker"},
    "specstore-web": {"specstore-web", "console", "specstore-worker"},
    "event-worker": {"rabbitmq"} | WORKERS,
    "factory-worker": {"rabbitmq", "redis", "factory-web"} | WORKERS,
    "orders-worker": {"rabbitmq", "sequence-web", "orders-web"} | WORKERS,
    "sequence-worker": {"rabbitmq"} | WORKERS,
    "specstore-worker": {"rabbitmq", "specstore-web"} | WORKERS,
    "postgres": set(),
}


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["compose"], indirect=True)
@pytest.mark.parametrize("program", sorted(REACHABLE))
def test_container_reaches_only_programs_that_it_needs(stack, program):
    assert stack.reachable_from(program, PORTS) == REACHABLE[program]
