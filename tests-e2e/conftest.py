"""The running stacks that the journeys test."""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from quintet_e2e.clients import Client
from quintet_e2e.compose import DEPLOY_FOLDER, TOPOLOGIES, compose_stack
from quintet_e2e.stacks import RunningStack, local_stack

STACKS = {
    "local": local_stack,
    "compose": compose_stack,
    "replicas": partial(
        compose_stack, DEPLOY_FOLDER / "replicas.yml", POOL_SIZE="3", WEB_CONCURRENCY="1", WORKER_THREADS="1"
    ),
    "standby": partial(compose_stack, TOPOLOGIES / "standby.yml"),
    "cluster": partial(compose_stack, DEPLOY_FOLDER / "rabbitmq-cluster.yml"),
}
# A stack starts within the first test that uses it, which takes minutes if images must be built.
TIMEOUT_SECONDS = 900 * max(1, int(os.environ.get("E2E_ROUNDS") or 1))
MAX_LOG_LINES = 10


@pytest.fixture(scope="session", params=["local", pytest.param("compose", marks=pytest.mark.slow)])
def stack(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    """Yield a stack of each mode, shared by all tests, with its own folder and ports. Tests must leave it healthy.

    A test that is parametrized with other names of STACKS runs on these instead.
    """
    with STACKS[request.param]() as running_stack:
        yield running_stack


@pytest.fixture
def client(stack: RunningStack) -> Iterator[Client]:
    """Yield a client of the administrator whose request IDs are unique to the test."""
    administrator = Client(stack)
    yield administrator
    administrator.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the journeys first because they take longest, beginning with those of documents that expect a new stack.

    Tests on one stack follow each other, and those of a swarm come after them. With pytest-xdist, all journeys with
    containers run in one process, so that two processes test with and without containers concurrently.
    """
    for item in items:
        if "journeys" in item.path.parts:
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))
    kinds = {kind: rank for rank, kind in enumerate(STACKS)}
    ranks = {"test_readme": 0, "test_tutorial": 1}
    items.sort(key=lambda item: (kinds.get(_stack_of(item), len(kinds)), ranks.get(item.path.stem, len(ranks))))


def _stack_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("stack") if callspec else None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Add the log lines about the requests of a failed journey to its report."""
    report = (yield).get_result()
    client = getattr(item, "funcargs", {}).get("client")
    if report.when == "call" and report.failed and isinstance(client, Client):
        for program in client.stack.programs:
            if lines := _log_lines_about(client, program):
                report.sections.append((f"log of {program}", "\n".join(lines)))


def _log_lines_about(client: Client, program: str) -> list[str]:
    try:
        lines = client.stack.log(program).splitlines()
    except OSError:
        return []
    matching = [line for line in lines if client.request_id_prefix in line or '"level": "error"' in line]
    return matching[-MAX_LOG_LINES:]
