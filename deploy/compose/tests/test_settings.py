"""Effect of lines in .env, and of variables of the shell, on the environment of the containers."""

import json

import pytest

from quintet_compose import identity
from quintet_compose.stack import Compose
from quintet_local import envfile, services
from quintet_local.layout import CHECKOUT

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def container_environments(tmp_path, monkeypatch):
    """Return a function that maps lines of .env to the environment of each container."""
    monkeypatch.setenv("STACK_DIR", str(tmp_path))

    def render(lines):
        (tmp_path / ".env").write_text(lines)
        envfile.bind_to_folder(tmp_path / ".env")
        identity.ensure(tmp_path, tmp_path / ".env")
        envfile.ensure(tmp_path / ".env", services.discover(CHECKOUT), lambda port: port)
        containers = json.loads(Compose().capture("config", "--format", "json"))["services"]
        return {name: program.get("environment") or {} for name, program in containers.items()}

    return render


def test_setting_reaches_services_that_declare_it(container_environments):
    actual = container_environments(
        "POOL_SIZE=7\nREFUSED_STATES=CA,NY\nNACK_LIMIT=3\nOWNER_BYTES=99\nRATE_LIMIT_ADMIN=12\n"
    )
    assert {name for name, variables in actual.items() if variables.get("POOL_SIZE") == "7"} >= {
        "sequence-web",
        "event-worker",
        "orders-migrate",
    }
    assert actual["orders-web"]["REFUSED_STATES"] == actual["orders-worker"]["REFUSED_STATES"] == "CA,NY"
    assert actual["event-web"]["NACK_LIMIT"] == "3"
    assert actual["specstore-web"]["OWNER_BYTES"] == "99"
    assert actual["gateway"]["RATE_LIMIT_ADMIN"] == "12"
    assert {name for name in actual if "NACK_LIMIT" in actual[name]} == {"event-migrate", "event-web", "event-worker"}


def test_web_concurrency_applies_to_services_but_not_to_the_console(container_environments):
    actual = container_environments("WEB_CONCURRENCY=8\n")
    assert actual["orders-web"]["WEB_CONCURRENCY"] == "8"
    assert actual["console"]["WEB_CONCURRENCY"] == "1"


def test_setting_in_the_environment_wins_over_env_file(container_environments, monkeypatch):
    monkeypatch.setenv("POOL_SIZE", "3")
    monkeypatch.setenv("RATE_LIMITS", "off")
    actual = container_environments("POOL_SIZE=7\n")
    assert actual["sequence-web"]["POOL_SIZE"] == "3"
    assert actual["gateway"]["RATE_LIMITS"] == "off"


def test_settings_of_another_stack_do_not_reach_containers(container_environments, monkeypatch):
    monkeypatch.setenv("S3_REGION", "elsewhere")
    monkeypatch.setenv("TLS_CERT", "/elsewhere.pem")
    monkeypatch.setenv("DATA_DIR", "/elsewhere")
    actual = container_environments("")
    assert actual["specstore-web"]["S3_REGION"] is None
    assert actual["specstore-web"]["DATA_DIR"] == "/data"
    assert actual["gateway"]["TLS_CERT"] == ""
