"""docker-compose.yml, read as a file: what it runs, and how each container is confined, watched and connected."""

import re

import pytest
import yaml

from quintet_compose import secret_files
from quintet_e2e.checkout import CHECKOUT
from quintet_local import envfile, settings

DOOR = "gateway"
# Docker starts a container's health checks again and again: these cost milliseconds of processor time each.
CHEAP_PROBES = {"bash", "curl", "pg_isready", "redis-cli"}


@pytest.fixture(scope="session")
def compose():
    return yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())


def test_compose_runs_each_service_as_three_programs(compose, service):
    word = service.word
    for kind in ("migrate", "web", "worker"):
        program = compose["services"][f"{word}-{kind}"]
        assert program["command"] == kind
        assert program["image"].startswith(f"quintet-{word}:")
        assert (program["build"]["context"], program["build"]["dockerfile"]) == (".", f"{word}-service/Dockerfile")
        assert program["environment"]["DATABASE_URL_FILE"] == f"/run/secrets/{word}_database_url"
    waits = {"condition": "service_completed_successfully"}
    assert compose["services"][f"{word}-web"]["depends_on"][f"{word}-migrate"] == waits
    assert compose["services"][f"{word}-worker"]["depends_on"][f"{word}-migrate"] == waits
    assert f"{word}_db_password" in compose["services"]["roles"]["secrets"]


def test_only_a_worker_knows_the_broker(compose, service):
    knows = {
        kind
        for kind in ("migrate", "web", "worker")
        if "AMQP_URL_FILE" in environment(compose, f"{service.word}-{kind}")
    }
    assert knows == {"worker"}


def environment(compose, program):
    return compose["services"][program]["environment"]


def test_compose_knows_no_service_that_is_not_here(compose, words):
    named = {name.rsplit("-", 1)[0] for name in compose["services"] if name.endswith(("-migrate", "-web", "-worker"))}
    assert named == set(words)


def test_nothing_but_the_gateway_publishes_a_port(compose):
    assert [name for name, program in compose["services"].items() if "ports" in program] == [DOOR]
    assert [port.split(":")[0] for port in compose["services"][DOOR]["ports"]] == ["${GATEWAY_ADDRESS"]


def test_every_container_is_confined(compose):
    for name, program in compose["services"].items():
        assert program["read_only"] is True, name
        assert program["cap_drop"] == ["ALL"], name
        assert program["security_opt"] == ["no-new-privileges:true"], name
        assert program["mem_limit"] and program["pids_limit"], name
        assert "privileged" not in program and program.get("network_mode", "none") == "none", name


def test_the_brokers_name_is_pinned(compose):
    assert compose["services"]["rabbitmq"]["hostname"] == "rabbitmq"


def test_container_logs_rotate(compose):
    for name, program in compose["services"].items():
        assert program["logging"]["options"].keys() >= {"max-size", "max-file"}, name


def test_a_busy_machine_does_not_make_a_live_container_unhealthy(compose):
    checks = {name: program["healthcheck"] for name, program in compose["services"].items() if "healthcheck" in program}
    assert checks.keys() >= {DOOR, "postgres", "rabbitmq", "redis", "orders-web"}
    for name, check in checks.items():
        assert CHEAP_PROBES & set(re.findall(r"[a-z_-]+", " ".join(check["test"]))), name
        assert "python" not in " ".join(check["test"]), name
        assert seconds(check["timeout"]) >= 10, name
        assert seconds(check["interval"]) * check["retries"] >= 60, name
        assert seconds(check["start_period"]) >= 180, name


def seconds(text):
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("server", ["postgres", "rabbitmq"])
def test_both_ways_to_run_read_the_same_configuration(compose, server):
    folder = f"deploy/{server}"
    (file,) = (CHECKOUT / folder).glob("*.conf")
    mounted = [
        volume for volume in compose["services"][server]["volumes"] if volume.startswith(f"./{folder}/{file.name}:")
    ]
    assert len(mounted) == 1
    # Both are told only where things are; what the file says is written nowhere else.
    names = re.findall(r"^([a-z_.]+) = ", file.read_text(), re.MULTILINE)
    local = (CHECKOUT / "deploy" / "local" / "quintet_local" / f"{server}.py").read_text()
    assert f'"{server}"' in local
    retyped = set(names) - {"listen_addresses"}
    for text in (local, " ".join(compose["services"][server].get("command", []))):
        assert not {name for name in retyped if name in text}


def test_each_service_is_passed_every_setting_that_it_knows_and_no_other(compose, service):
    known, secrets = set(settings.variables(service.word)), set(settings.secret_variables(service.word))
    for kind in ("migrate", "web", "worker"):
        told = environment(compose, f"{service.word}-{kind}")
        assert {name for name, value in told.items() if value is None} == known - secrets
        assert {f"{name}_FILE" for name in secrets} <= told.keys()


def test_gateway_and_console_receive_every_setting_that_they_know(compose):
    assert environment(compose, DOOR).keys() == {*settings.gateway_variables(), "SERVICES"}
    assert environment(compose, "console").keys() == {*settings.console_variables(), "SERVICES", "WEB_CONCURRENCY"}


def test_the_console_is_one_process_whose_memory_suffices(compose):
    assert environment(compose, "console")["WEB_CONCURRENCY"] == 1
    assert compose["services"]["console"]["mem_limit"] == "192m"


def test_secrets_reach_containers_as_files_and_each_service_only_its_own(compose, service):
    for kind in ("migrate", "web", "worker"):
        program = compose["services"][f"{service.word}-{kind}"]
        named = {name: value for name, value in program["environment"].items() if name.endswith("_FILE")}
        assert sorted(named.values()) == sorted(f"/run/secrets/{secret}" for secret in program["secrets"])
        for name, file in named.items():
            assert file == f"/run/secrets/{service.word}_{name.removesuffix('_FILE').lower()}"


def test_every_secret_is_a_file_that_up_makes(compose, words):
    made = secret_files.contents(dict.fromkeys(envfile.setting_names(words), "x"), words)
    assert compose["secrets"] == {name: {"file": f"${{SECRETS_DIR:-./.secrets}}/{name}"} for name in made}


def test_no_variable_holds_a_secret(compose):
    text = (CHECKOUT / "docker-compose.yml").read_text()
    names = re.findall(r"\$\{([A-Z_0-9]+)", text)
    assert not [name for name in names if re.search("PASSWORD|SECRET_|(?<!TLS_)KEY|COOKIE", name)]


def test_only_the_gateway_and_who_fetches_data_reach_the_outside(compose):
    leads_outside = {name for name, network in compose["networks"].items() if not (network or {}).get("internal")}
    goes_outside = {name for name, networks in networks_of(compose).items() if leads_outside & networks}
    assert goes_outside == {DOOR, "specstore-web", "specstore-worker"}


def networks_of(compose):
    return {name: set(program.get("networks", ())) for name, program in compose["services"].items()}


def test_a_web_shares_a_network_with_the_gateway_and_the_console_and_with_a_web_that_it_calls(compose, words):
    networks = networks_of(compose)
    webs = {f"{word}-web" for word in words}
    for web in webs:
        neighbors = {name for name, own in networks.items() if own & networks[web]}
        assert neighbors >= {DOOR, "console"}
        assert not neighbors & {"rabbitmq", "postgres"}
        # orders-service draws numbers from sequence-service.
        draws = {"orders-web", "sequence-web"}
        assert neighbors & webs == (draws if web in draws else {web})
    assert not networks[DOOR] & (networks["redis"] | networks["rabbitmq"])


def test_postgres_is_reached_through_its_socket_alone_and_with_a_password(compose, service):
    assert compose["services"]["postgres"]["network_mode"] == "none"
    rules = (CHECKOUT / "deploy" / "compose" / "pg_hba.conf").read_text().splitlines()
    assert [rule for rule in rules if not rule.startswith("#")] == ["local all all scram-sha-256"]
    for kind in ("migrate", "web", "worker"):
        assert "postgres-socket:/run/postgresql" in compose["services"][f"{service.word}-{kind}"]["volumes"]


def test_nothing_has_a_name_that_another_checkout_uses_too(compose):
    assert compose["name"].startswith("${COMPOSE_PROJECT_NAME:?")
    for name, program in compose["services"].items():
        assert "container_name" not in program, name
        assert "STACK_ID" in program["labels"]["quintet.stack"], name
        if "build" in program:
            assert program["image"].endswith(":${QUINTET_TAG:-${COMPOSE_PROJECT_NAME}}"), name
    for name, volume in compose["volumes"].items():
        assert "STACK_ID" in volume["labels"]["quintet.stack"], name
