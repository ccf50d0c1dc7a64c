"""The manifests run the programs of docker-compose.yml, with settings that exist and connections that suffice."""

import re
from pathlib import Path

import pytest
import yaml

from quintet_compose import kubernetes
from quintet_local import envfile, services, settings

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[3]
VERSION = (CHECKOUT / "VERSION").read_text().strip()
SERVICES = services.discover(CHECKOUT)
# For backups, migrations and people, as on one machine.
RESERVED_CONNECTIONS = 10
UNUSED_URL = "postgresql://unused"
# The name of the superuser is given by the operator of Postgres, and a pod connects over TCP.
DIFFERENT_VARIABLES = {"PGHOST", "PGUSER", "POSTGRES_USER", "PGDATA", "UPSTREAM_DOMAIN", "POSTGRES_PASSWORD_FILE"}
# A secret that the operator of the cluster creates: the credentials of the bucket for backups.
EXTERNAL_SECRETS = {"postgres-backups"}


def pod_of(workload):
    return workload["spec"]["template"]["spec"]


def container_of(workload):
    (container,) = pod_of(workload)["containers"]
    return container


def program_of(name):
    """Return the name of the program in docker-compose.yml; the name of a Job ends with the version."""
    return name.removesuffix("-" + VERSION.replace(".", "-"))


def service_and_kind(name):
    service, _, kind = program_of(name).partition("-")
    return (service, kind) if kind in ("web", "worker", "migrate") else (None, None)


def as_list(command):
    words = command.split() if isinstance(command, str) else command or []
    return [word.replace("$$", "$") for word in words]


def bytes_of(quantity):
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]*)", quantity).groups()
    return int(number) * {"k": 2**10, "m": 2**20, "g": 2**30, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[unit]


def processors_of(quantity):
    return float(quantity.removesuffix("m")) / (1000 if quantity.endswith("m") else 1)


def test_workloads_are_the_programs_of_compose(manifests, compose):
    operated = set() if manifests.name == "small" else {"postgres", "rabbitmq"}
    # A cluster has its own way to monitor what runs in it.
    always = {name for name, program in compose.items() if "profiles" not in program}
    assert {program_of(name) for name in manifests.workloads} == always - operated


def test_images_commands_and_limits_equal_those_of_compose(manifests, compose):
    for name, workload in manifests.workloads.items():
        program, container = compose[program_of(name)], container_of(workload)
        image = re.sub(r"\$\{[A-Z_]+:-(.*)\}$", r"\1", program["image"])
        own = image.startswith("quintet-")
        assert container["image"] == (f"{image.partition(':')[0]}:{VERSION}" if own else image), name
        assert container.get("command", []) == as_list(program.get("entrypoint")), name
        # The folders of the server's configuration differ.
        command = [word for word in as_list(program.get("command")) if not word.startswith(("-chba_", "-clisten_"))]
        assert container.get("args", []) == command, name
        assert bytes_of(container["resources"]["limits"]["memory"]) == bytes_of(program["mem_limit"]), name


def test_variables_equal_those_of_compose(manifests, compose):
    for name, workload in manifests.workloads.items():
        service, _ = service_and_kind(name)
        prefix = f"/run/secrets/{service}_" if service else "/run/secrets/"
        variables = {
            variable["name"]: variable["value"].replace("/run/secrets/", prefix)
            for variable in container_of(workload).get("env", [])
        }
        # A value with a reference is a setting of the operator.
        expected = {
            variable: str(value)
            for variable, value in compose[program_of(name)].get("environment", {}).items()
            if value is not None and not str(value).startswith("${")
        }
        for variable in DIFFERENT_VARIABLES:
            variables.pop(variable, None)
            expected.pop(variable, None)
        assert variables == expected, name


def test_each_variable_is_a_setting_with_a_valid_value(manifests):
    for name in manifests.workloads:
        service, _ = service_and_kind(name)
        if not service:
            continue
        settings_class = settings.settings_class(service)
        variables = manifests.environment_of(name)
        fields = {field.upper() for field in settings_class.model_fields}
        assert {variable.removesuffix("_FILE") for variable in variables} <= fields, name
        values = {variable: value for variable, value in variables.items() if not variable.endswith("_FILE")}
        settings_class.load(values | {"DATABASE_URL": UNUSED_URL})
    assert manifests.environment_of("gateway").keys() <= {*settings.gateway_variables(), "SERVICES", "UPSTREAM_DOMAIN"}
    console = {*settings.console_variables(), "SERVICES", "WEB_CONCURRENCY"}
    assert manifests.environment_of("console").keys() <= console


def test_names_of_upstreams_are_complete(manifests):
    namespaces = {item["metadata"].get("namespace") for item in manifests.objects if item["kind"] != "Namespace"}
    assert namespaces == {kubernetes.NAMESPACE}
    environment = manifests.environment_of("gateway")
    assert environment["UPSTREAM_DOMAIN"] == f"{kubernetes.NAMESPACE}.svc.cluster.local"
    assert manifests.of_kind("Service").keys() >= {f"{name}-web" for name in environment["SERVICES"].split(",")}


def test_only_the_file_version_needs_to_agree(manifests):
    jobs = manifests.of_kind("Job")
    assert jobs.keys() == {f"{name}-{VERSION.replace('.', '-')}" for name in map(program_of, jobs)}
    assert {program_of(name) for name in jobs} == {"roles", *(f"{service}-migrate" for service in SERVICES)}


def test_containers_are_confined(manifests):
    for name, workload in manifests.workloads.items():
        pod, container = pod_of(workload), container_of(workload)
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }, name


def test_requests_do_not_exceed_limits(manifests):
    for name, workload in manifests.workloads.items():
        resources = container_of(workload)["resources"]
        assert 0 < bytes_of(resources["requests"]["memory"]) <= bytes_of(resources["limits"]["memory"]), name
        assert processors_of(resources["requests"]["cpu"]) > 0, name
        # A limit would slow down a program on an idle node.
        assert "cpu" not in resources["limits"], name


def test_probes_check_no_dependency(manifests):
    ports = {"web": "http", "worker": "metrics"}
    for name, workload in manifests.workloads.items():
        container, (_, kind) = container_of(workload), service_and_kind(name)
        if kind in ports or name in ("gateway", "console"):
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["httpGet"] == {"path": "/livez", "port": ports.get(kind, "http")}, name
                assert container[probe]["timeoutSeconds"] >= 10, name


def test_ports_are_those_on_which_programs_listen(manifests):
    for service in SERVICES:
        defaults = settings.settings_class(service).load({"DATABASE_URL": UNUSED_URL})
        for kind, address in (("web", defaults.bind), ("worker", defaults.worker_bind)):
            (port,) = container_of(manifests.workloads[f"{service}-{kind}"])["ports"]
            assert address == f"0.0.0.0:{port['containerPort']}"
            assert not manifests.environment_of(f"{service}-{kind}").keys() & {"BIND", "WORKER_BIND"}


def test_pods_with_clients_end_after_their_last_request(manifests):
    for name, workload in manifests.of_kind("Deployment").items():
        container = container_of(workload)
        if any(port["name"] == "http" for port in container["ports"]):
            wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            # gunicorn waits up to 20 s for requests in progress.
            shutdown = manifests.environment_of(name).get("SHUTDOWN_TIMEOUT", "20s")
            assert wait >= 5, name
            assert pod_of(workload)["terminationGracePeriodSeconds"] >= wait + int(shutdown.removesuffix("s")) + 5, name
            assert workload["spec"]["strategy"] == {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}, name
            keys = {spread["topologyKey"] for spread in pod_of(workload)["topologySpreadConstraints"]}
            assert "kubernetes.io/hostname" in keys, name


def test_mounted_secrets_are_generated_and_used(manifests):
    names = envfile.setting_names(SERVICES)
    items = kubernetes.secrets(dict.fromkeys(names, "x"), SERVICES, {}, has_read_replicas=False)["items"]
    generated = {item["metadata"]["name"]: item["stringData"].keys() for item in items}
    for name, workload in manifests.workloads.items():
        files = set()
        for volume in pod_of(workload)["volumes"]:
            for source in secret_sources(volume):
                secret = source.get("secretName") or source["name"]
                keys = {item["key"] for item in source.get("items", [])}
                assert keys <= generated[secret], name
                files |= {item["path"] for item in source.get("items", [])}
        paths = {path for variable, path in manifests.environment_of(name).items() if variable.endswith("_FILE")}
        if service_and_kind(name)[0]:
            assert {Path(path).name for path in paths} == files, name
    referenced = set(re.findall(r"secretName: (\S+)", manifests.text))
    assert referenced <= generated.keys() | EXTERNAL_SECRETS


def secret_sources(volume):
    if "secret" in volume:
        return [volume["secret"]]
    return [source["secret"] for source in volume.get("projected", {}).get("sources", []) if "secret" in source]


def max_pods(manifests, name):
    """Return the largest number of pods: during a rolling update, all pods of the previous generation may be ending."""
    scalers = [
        scaler["spec"].get("maxReplicas") or scaler["spec"].get("maxReplicaCount")
        for scaler in manifests.of_kind("HorizontalPodAutoscaler", "ScaledObject").values()
        if scaler["spec"]["scaleTargetRef"]["name"] == name
    ]
    return 2 * (scalers[0] if scalers else manifests.workloads[name]["spec"].get("replicas", 1))


def connections_of(manifests):
    total = 0
    for service in SERVICES:
        for kind in ("web", "worker"):
            name = f"{service}-{kind}"
            variables = manifests.environment_of(name)
            values = {variable: value for variable, value in variables.items() if not variable.endswith("_FILE")}
            loaded = settings.settings_class(service).load(values | {"DATABASE_URL": UNUSED_URL})
            count = loaded.web_connection_count if kind == "web" else loaded.worker_connection_count
            total += max_pods(manifests, name) * count
    return total


def test_postgres_accepts_the_connections_of_all_replicas(manifests, manifests_with_components):
    if manifests.name == "small":
        assert connections_of(manifests) <= settings.max_connections() - RESERVED_CONNECTIONS
        return
    parameters = manifests.of_kind("Cluster")["postgres"]["spec"]["postgresql"]["parameters"]
    available = int(parameters["max_connections"]) - RESERVED_CONNECTIONS
    assert connections_of(manifests) <= connections_of(manifests_with_components) <= available


def test_servers_of_operators_have_the_settings_that_programs_rely_on(render):
    text = render(CHECKOUT / "deploy" / "kubernetes" / "overlays" / "production")
    objects = {item["kind"]: item for item in yaml.safe_load_all(text)}
    postgres = (CHECKOUT / "deploy" / "postgres" / "postgresql.conf").read_text()
    parameters = objects["Cluster"]["spec"]["postgresql"]["parameters"]
    assert f"client_connection_check_interval = {parameters['client_connection_check_interval']}\n" in postgres
    assert not parameters.keys() & {"fsync", "synchronous_commit", "full_page_writes"}
    assert objects["Cluster"]["spec"]["instances"] == objects["RabbitmqCluster"]["spec"]["replicas"] == 3
    broker = (CHECKOUT / "deploy" / "rabbitmq" / "rabbitmq.conf").read_text()
    timeout = re.search(r"^consumer_timeout = .*$", broker, re.MULTILINE)[0]
    cluster = (CHECKOUT / "deploy" / "compose" / "rabbitmq-cluster.conf").read_text()
    membership = re.findall(r"^quorum_queue\..*(?:enabled|target_group_size) = .*$", cluster, re.MULTILINE)
    assert len(membership) == 2
    lines = objects["RabbitmqCluster"]["spec"]["rabbitmq"]["additionalConfig"].splitlines()
    assert {timeout, *membership} <= {*lines}


def test_scaled_queues_are_those_that_workers_consume(manifests_with_components):
    for name, scaled in manifests_with_components.of_kind("ScaledObject").items():
        service = name.removesuffix("-worker")
        queues = [trigger["metadata"]["queueName"] for trigger in scaled["spec"]["triggers"]]
        assert all(queue.startswith(f"{service}.") for queue in queues)
        assert len({*queues}) == settings.settings_class(service).queue_count
        handlers = "".join(file.read_text() for file in (CHECKOUT / f"{service}-service" / "src").rglob("*.py"))
        assert [queue for queue in queues if f'"{queue}"' not in handlers] == []
        assert "replicas" not in manifests_with_components.workloads[name]["spec"]
