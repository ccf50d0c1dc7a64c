"""The stack file for a swarm has the programs of docker-compose.yml, and nothing that belongs to one machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
# Options of Compose that `docker stack deploy` ignores or rejects.
UNSUPPORTED = {
    "build", "depends_on", "mem_limit", "network_mode", "pids_limit", "restart", "security_opt", "shm_size", "tmpfs",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("swarm")


@pytest.fixture(scope="module")
def stack(engine, folder):
    return generate(folder, "all", "orders-web=3")


def generate(folder, *arguments):
    command = [sys.executable, CHECKOUT / "deploy" / "compose", "swarm-stack", *arguments]
    environment = os.environ | {"STACK_DIR": str(folder)}
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def test_every_program_has_options_of_a_swarm(stack):
    for name, program in stack["services"].items():
        assert not program.keys() & UNSUPPORTED, name
        assert {mount["type"] for mount in program["volumes"]} <= {"tmpfs", "volume"}, name
        assert int(program["deploy"]["resources"]["limits"]["memory"]) >= 2**26, name
        assert program["deploy"]["endpoint_mode"] == "dnsrr", name
        assert {port["mode"] for port in program["ports"]} <= {"host"}, name
        assert program["read_only"] is True and program["cap_drop"] == ["ALL"], name
        assert program["networks"], name


def test_numbers_of_replicas_are_those_of_the_arguments(stack):
    counts = {name: program["deploy"]["replicas"] for name, program in stack["services"].items()}
    assert counts.pop("orders-web") == 3
    assert set(counts.values()) == {1}


def test_jobs_are_repeated_until_they_succeed_and_other_programs_always(stack):
    for name, program in stack["services"].items():
        policy = program["deploy"]["restart_policy"]
        is_job = name == "roles" or name.endswith("-migrate")
        assert policy["condition"] == ("on-failure" if is_job else "any"), name
        assert "max_attempts" not in policy, name


def test_programs_with_data_stay_on_one_node_and_others_are_replaced_before_they_end(stack):
    pinned = {name for name, program in stack["services"].items() if "placement" in program["deploy"]}
    # The jobs of specstore-service have no volume.
    assert pinned == {"postgres", "rabbitmq", "specstore-web", "specstore-worker"}
    overlapping = {
        name
        for name, program in stack["services"].items()
        if program["deploy"]["update_config"]["order"] == "start-first"
    }
    assert overlapping >= {"orders-web", "sequence-web", "event-web", "factory-web", "orders-worker", "console"}
    assert not overlapping & {*pinned, "gateway", "redis", "roles", "orders-migrate"}


def test_only_programs_with_a_database_share_the_network_of_postgres(stack):
    members = {name for name, program in stack["services"].items() if "database" in program["networks"]}
    services = ["event", "factory", "orders", "sequence", "specstore"]
    programs = {f"{service}-{kind}" for service in services for kind in ("web", "worker", "migrate")}
    assert members == programs | {"postgres", "roles"}
    internal = {name for name, network in stack["networks"].items() if network["internal"]}
    assert stack["networks"].keys() - internal == {"outside", "sources"}


def test_secrets_exist_and_their_names_follow_the_content(stack, folder):
    used = {secret for program in stack["services"].values() for secret in program["secrets"]}
    assert used == stack["secrets"].keys()
    for secret in stack["secrets"].values():
        assert Path(secret["file"]).read_bytes()
    url = Path(stack["secrets"]["orders_database_url"]["file"]).read_text()
    assert url.endswith("@postgres:5432/quintet")
    # An unset secret cannot be stored in a swarm.
    assert "specstore_s3_access_key_id" not in used
    assert "S3_ACCESS_KEY_ID_FILE" not in stack["services"]["specstore-web"]["environment"]
    environment = folder / ".env"
    environment.write_text(environment.read_text() + "S3_ACCESS_KEY_ID=abc\n")
    later = generate(folder, "all")["secrets"]
    assert "specstore_s3_access_key_id" in later
    assert later["redis_password"] == stack["secrets"]["redis_password"]


def test_first_step_has_the_servers_and_the_jobs(folder, stack):
    names = generate(folder, "servers")["services"].keys()
    jobs = {name for name in stack["services"] if name.endswith("-migrate")}
    assert names == jobs | {"roles", "postgres", "rabbitmq", "redis"}
