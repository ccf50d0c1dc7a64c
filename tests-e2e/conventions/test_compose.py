"""Checks of the file docker-compose.yml: its programs, and the limits, health checks and networks of each container."""

import re

import pytest
import yaml

from quintet_compose import secret_files
from quintet_e2e.checkout import CHECKOUT
from quintet_local import envfile, settings

GATEWAY = "gateway"
MONITORING_PROGRAMS = {"prometheus", "grafana"}
REPLICAS = 3
# For backups, migrations and people.
RESERVED_CONNECTIONS = 10
# Docker runs health checks often; each of these commands needs only milliseconds of processor time.
CHEAP_PROBES = {"bash", "curl", "pg_isready", "redis-cli"}


@pytest.fixture(scope="session")
def compose():
    return yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())


def test_compose_runs_each_service_as_three_programs(compose, service):
    name = service.name
    for kind in ("migrate", "web", "worker"):
        program = compose["services"][f"{name}-{kind}"]
        assert program["command"] == kind
        assert program["image"].startswith(f"quintet-{name}:")
        assert (program["build"]["context"], program["build"]["dockerfile"]) == (".", f"{name}-service/Dockerfile")
        assert program["environment"]["DATABASE_URL_FILE"] == f"/run/secrets/{name}_database_url"
    condition = {"condition": "service_completed_successfully"}
    assert compose["services"][f"{name}-web"]["depends_on"][f"{name}-migrate"] == condition
    assert compose["services"][f"{name}-worker"]["depends_on"][f"{name}-migrate"] == condition
    assert f"{name}_db_password" in compose["services"]["roles"]["secrets"]


def test_every_web_program_has_a_standby_that_only_an_upgrade_starts(compose, service_names):
    for web in [*(f"{name}-web" for name in service_names), "console"]:
        assert compose["services"][f"{web}-standby"] == {**compose["services"][web], "profiles": ["standby"]}


def test_only_workers_receive_broker_url(compose, service):
    kinds = {
        kind
        for kind in ("migrate", "web", "worker")
        if "AMQP_URL_FILE" in environment_of(compose, f"{service.name}-{kind}")
    }
    assert kinds == {"worker"}


def environment_of(compose, program):
    return compose["services"][program]["environment"]


def test_compose_names_exactly_the_services_of_this_checkout(compose, service_names):
    services = {
        name.rsplit("-", 1)[0] for name in compose["services"] if name.endswith(("-migrate", "-web", "-worker"))
    }
    assert services == set(service_names)


def test_only_the_gateway_publishes_a_port_beyond_this_machine(compose):
    ports = {name: program["ports"] for name, program in compose["services"].items() if "ports" in program}
    assert [port.split(":")[0] for port in ports.pop(GATEWAY)] == ["${GATEWAY_ADDRESS"]
    assert ports.keys() == MONITORING_PROGRAMS
    assert [port for published in ports.values() for port in published if not port.startswith("127.0.0.1:")] == []


def test_up_does_not_start_monitoring(compose):
    in_profile = {name for name, program in compose["services"].items() if program.get("profiles") == ["observability"]}
    assert in_profile == MONITORING_PROGRAMS
    for name, program in compose["services"].items():
        assert not MONITORING_PROGRAMS & set(program.get("depends_on", ())), name


def test_every_container_is_confined(compose):
    for name, program in compose["services"].items():
        assert program["read_only"] is True, name
        assert program["cap_drop"] == ["ALL"], name
        assert program["security_opt"] == ["no-new-privileges:true"], name
        assert program["mem_limit"] and program["pids_limit"], name
        assert "privileged" not in program and program.get("network_mode", "none") == "none", name


def test_hostname_of_broker_is_pinned(compose):
    assert compose["services"]["rabbitmq"]["hostname"] == "rabbitmq"


def test_container_logs_rotate(compose):
    for name, program in compose["services"].items():
        assert program["logging"]["options"].keys() >= {"max-size", "max-file"}, name


def test_health_checks_tolerate_a_busy_machine(compose):
    checks = {name: program["healthcheck"] for name, program in compose["services"].items() if "healthcheck" in program}
    assert checks.keys() >= {GATEWAY, "postgres", "rabbitmq", "redis", "orders-web", "orders-worker"}
    for name, check in checks.items():
        assert CHEAP_PROBES & set(re.findall(r"[a-z_-]+", " ".join(check["test"]))), name
        assert "python" not in " ".join(check["test"]), name
        assert parse_seconds(check["timeout"]) >= 10, name
        assert parse_seconds(check["interval"]) * check["retries"] >= 60, name
        assert parse_seconds(check["start_period"]) >= 180, name


def parse_seconds(text):
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("server", ["postgres", "rabbitmq"])
def test_both_deployment_modes_read_the_same_configuration(compose, server):
    folder = f"deploy/{server}"
    (file,) = (CHECKOUT / folder).glob("*.conf")
    mounted = [
        volume for volume in compose["services"][server]["volumes"] if volume.startswith(f"./{folder}/{file.name}:")
    ]
    assert len(mounted) == 1
    # Each mode may set only locations; no other setting of the file may be repeated elsewhere.
    names = re.findall(r"^([a-z_.]+) = ", file.read_text(), re.MULTILINE)
    local = (CHECKOUT / "deploy" / "local" / "quintet_local" / f"{server}.py").read_text()
    assert f'"{server}"' in local
    unique_names = set(names) - {"listen_addresses"}
    for text in (local, " ".join(compose["services"][server].get("command", []))):
        assert not {name for name in unique_names if name in text}


def test_each_service_receives_exactly_the_settings_that_it_declares(compose, service):
    declared, secrets = set(settings.variables(service.name)), set(settings.secret_variables(service.name))
    for kind in ("migrate", "web", "worker"):
        variables = environment_of(compose, f"{service.name}-{kind}")
        assert {name for name, value in variables.items() if value is None} == declared - secrets
        assert {f"{name}_FILE" for name in secrets} <= variables.keys()


def test_gateway_and_console_receive_the_settings_that_they_declare(compose):
    assert environment_of(compose, GATEWAY).keys() == {*settings.gateway_variables(), "SERVICES"}
    assert environment_of(compose, "console").keys() == {*settings.console_variables(), "SERVICES", "WEB_CONCURRENCY"}


def test_console_is_one_process_with_sufficient_memory(compose):
    assert environment_of(compose, "console")["WEB_CONCURRENCY"] == 1
    assert compose["services"]["console"]["mem_limit"] == "192m"


def test_containers_receive_only_their_own_secrets_as_files(compose, service):
    for kind in ("migrate", "web", "worker"):
        program = compose["services"][f"{service.name}-{kind}"]
        files = {name: value for name, value in program["environment"].items() if name.endswith("_FILE")}
        assert sorted(files.values()) == sorted(f"/run/secrets/{secret}" for secret in program["secrets"])
        for name, file in files.items():
            assert file == f"/run/secrets/{service.name}_{name.removesuffix('_FILE').lower()}"


def test_every_secret_is_a_file_that_up_creates(compose, service_names):
    names = secret_files.contents(dict.fromkeys(envfile.setting_names(service_names), "x"), service_names)
    assert compose["secrets"] == {name: {"file": f"${{SECRETS_DIR:-./.secrets}}/{name}"} for name in names}


def test_no_variable_holds_a_secret(compose):
    text = (CHECKOUT / "docker-compose.yml").read_text()
    names = re.findall(r"\$\{([A-Z_0-9]+)", text)
    assert not [name for name in names if re.search("PASSWORD|SECRET_|(?<!TLS_)KEY|COOKIE", name)]


def test_only_gateway_specstore_and_monitoring_can_reach_the_outside(compose):
    external_networks = {name for name, network in compose["networks"].items() if not (network or {}).get("internal")}
    externally_connected = {name for name, networks in networks_of(compose).items() if external_networks & networks}
    assert externally_connected == {
        GATEWAY,
        "specstore-web",
        "specstore-web-standby",
        "specstore-worker",
        *MONITORING_PROGRAMS,
    }
    members = {name for name, networks in networks_of(compose).items() if "monitoring" in networks}
    assert members == MONITORING_PROGRAMS


def networks_of(compose):
    return {name: set(program.get("networks", ())) for name, program in compose["services"].items()}


def test_web_programs_share_networks_only_with_gateway_console_and_services_that_they_call(compose, service_names):
    networks = networks_of(compose)
    web_programs = {f"{name}-web" for name in service_names}
    for web in web_programs:
        neighbors = {name for name, joined in networks.items() if joined & networks[web]}
        assert neighbors >= {GATEWAY, "console"}
        assert not neighbors & {"rabbitmq", "postgres"}
        # orders-service requests numbers from sequence-service.
        connected = {"orders-web", "sequence-web"}
        assert neighbors & web_programs == (connected if web in connected else {web})
    assert not networks[GATEWAY] & (networks["redis"] | networks["rabbitmq"])


def test_postgres_accepts_only_socket_connections_with_password(compose, service):
    assert compose["services"]["postgres"]["network_mode"] == "none"
    rules = (CHECKOUT / "deploy" / "compose" / "pg_hba.conf").read_text().splitlines()
    assert [rule for rule in rules if not rule.startswith("#")] == ["local all all scram-sha-256"]
    for kind in ("migrate", "web", "worker"):
        assert "postgres-socket:/run/postgresql" in compose["services"][f"{service.name}-{kind}"]["volumes"]


def test_names_are_unique_to_the_stack(compose):
    assert compose["name"].startswith("${COMPOSE_PROJECT_NAME:?")
    for name, program in compose["services"].items():
        assert "container_name" not in program, name
        assert "STACK_ID" in program["labels"]["quintet.stack"], name
        if "build" in program:
            assert program["image"].endswith(":${QUINTET_TAG:-${COMPOSE_PROJECT_NAME}}"), name
    for name, volume in compose["volumes"].items():
        assert "STACK_ID" in volume["labels"]["quintet.stack"], name


def test_replicas_of_all_webs_and_workers_fit_the_connections_of_postgres(service_names):
    override = yaml.safe_load((CHECKOUT / "deploy" / "compose" / "replicas.yml").read_text())
    programs = {f"{name}-{kind}" for name in service_names for kind in ("web", "worker")}
    assert override["services"] == {program: {"scale": REPLICAS} for program in programs}
    guide = (CHECKOUT / "docs" / "how-to" / "survive-the-loss-of-a-server.md").read_text()
    values = dict(re.findall(r"^(POOL_SIZE|WEB_CONCURRENCY|WORKER_THREADS)=(\d+)$", guide, re.MULTILINE))
    with_unused_url = {**values, "DATABASE_URL": "postgresql://unused"}
    counts = [settings.settings_class(name).load(with_unused_url).connection_count for name in service_names]
    assert len(values) == 3
    assert REPLICAS * sum(counts) <= settings.max_connections() - RESERVED_CONNECTIONS
