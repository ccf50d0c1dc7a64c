"""What a line in .env comes to in the containers."""

import json

import pytest

from quintet_compose import identity
from quintet_compose.stack import Compose
from quintet_local import envfile, services
from quintet_local.layout import CHECKOUT

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def environments(tmp_path, monkeypatch):
    """Return what Compose tells each container, given lines of .env."""
    monkeypatch.setenv("STACK_DIR", str(tmp_path))

    def tell(lines):
        (tmp_path / ".env").write_text(lines)
        envfile.settle(tmp_path / ".env")
        identity.ensure(tmp_path, tmp_path / ".env")
        envfile.ensure(tmp_path / ".env", services.discover(CHECKOUT), lambda port: port)
        passed = json.loads(Compose().ask("config", "--format", "json"))["services"]
        return {name: program.get("environment") or {} for name, program in passed.items()}

    return tell


def test_a_setting_reaches_the_services_that_know_it(environments):
    passed = environments("POOL_SIZE=7\nREFUSED_STATES=CA,NY\nNACK_LIMIT=3\nOWNER_BYTES=99\nRATE_LIMIT_ADMIN=12\n")
    assert {name for name, variables in passed.items() if variables.get("POOL_SIZE") == "7"} >= {
        "sequence-web",
        "event-worker",
        "orders-migrate",
    }
    assert passed["orders-web"]["REFUSED_STATES"] == passed["orders-worker"]["REFUSED_STATES"] == "CA,NY"
    assert passed["event-web"]["NACK_LIMIT"] == "3"
    assert passed["specstore-web"]["OWNER_BYTES"] == "99"
    assert passed["gateway"]["RATE_LIMIT_ADMIN"] == "12"
    assert {name for name in passed if "NACK_LIMIT" in passed[name]} == {"event-migrate", "event-web", "event-worker"}


def test_more_web_processes_are_for_the_services_and_not_for_the_console(environments):
    passed = environments("WEB_CONCURRENCY=8\n")
    assert passed["orders-web"]["WEB_CONCURRENCY"] == "8"
    assert passed["console"]["WEB_CONCURRENCY"] == "1"


def test_the_shell_of_a_developer_does_not_reach_a_container(environments, monkeypatch):
    monkeypatch.setenv("POOL_SIZE", "3")
    monkeypatch.setenv("S3_REGION", "elsewhere")
    passed = environments("POOL_SIZE=7\n")
    assert passed["sequence-web"]["POOL_SIZE"] == "7"
    assert passed["specstore-web"]["S3_REGION"] is None
