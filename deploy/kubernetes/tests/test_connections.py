"""The selectors match pods, and the policies allow exactly the connections that programs need."""

import pytest

pytestmark = pytest.mark.slow

SERVICES = ["event", "factory", "orders", "sequence", "specstore"]
WEBS = {f"{service}-web" for service in SERVICES}
WORKERS = {f"{service}-worker" for service in SERVICES}
# As in tests-e2e/journeys/test_networks.py, and Postgres, which has no network there.
CLIENTS = {
    **{web: {"gateway", "console"} for web in WEBS},
    "sequence-web": {"gateway", "console", "orders-web", "orders-worker", "orders-migrate"},
    "console": {"gateway"},
    "rabbitmq": WORKERS,
    "redis": {"factory-web", "factory-worker", "factory-migrate"},
    "postgres": {*WEBS, *WORKERS, "roles", *(f"{service}-migrate" for service in SERVICES)},
}
# Pods that operators create, with the labels that select them.
OPERATED = {
    "postgres": ({"quintet.server": "postgres"}, {"postgres": 5432, "status": 8000}),
    "rabbitmq": ({"app.kubernetes.io/name": "rabbitmq"}, {"amqp": 5672, "epmd": 4369, "clustering": 25672}),
}


@pytest.fixture(scope="session")
def pods(manifests):
    """Return the labels and ports of each program's pods."""
    programs = {} if manifests.name == "small" else dict(OPERATED)
    for name, workload in manifests.workloads.items():
        template = workload["spec"]["template"]
        (container,) = template["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        programs[name.partition("-0-")[0]] = (template["metadata"]["labels"], ports)
    return programs


def matches(selector, labels):
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def selected(selector, pods):
    return {name for name, (labels, _) in pods.items() if matches(selector, labels)}


def test_each_workload_selects_only_its_own_pods(manifests, pods):
    for name, workload in manifests.of_kind("Deployment", "StatefulSet").items():
        assert selected(workload["spec"]["selector"], pods) == {name}
        for spread in workload["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            assert selected(spread["labelSelector"], pods) == {name}


def test_budgets_and_autoscalers_refer_to_one_workload(manifests, pods):
    budgets = manifests.of_kind("PodDisruptionBudget")
    assert budgets.keys() >= {*WEBS, *WORKERS, "gateway", "console"}
    for name, budget in budgets.items():
        assert selected(budget["spec"]["selector"], pods) == {name}
        assert budget["spec"]["maxUnavailable"] == 1
    for name, scaler in manifests.of_kind("HorizontalPodAutoscaler").items():
        assert scaler["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        assert "replicas" not in manifests.workloads[name]["spec"]
        (container,) = manifests.workloads[name]["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["requests"]["cpu"]
    expected = set() if manifests.name == "small" else {*WEBS, "gateway"}
    assert manifests.of_kind("HorizontalPodAutoscaler").keys() == expected


def test_services_lead_to_existing_ports(manifests, pods):
    services = manifests.of_kind("Service")
    assert services.keys() >= {*WEBS, "console", "gateway", "redis"}
    for name, service in services.items():
        (program,) = selected({"matchLabels": service["spec"]["selector"]}, pods)
        assert program == name.removesuffix("-rw")
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in pods[program][1], name


def test_names_of_web_programs_resolve_to_their_pods(manifests):
    """The gateway needs the addresses of all pods to try another one."""
    for name in [*WEBS, "console"]:
        assert manifests.of_kind("Service")[name]["spec"]["clusterIP"] == "None"


def test_selectors_and_ports_of_policies_exist(manifests, pods):
    for name, policy in manifests.of_kind("NetworkPolicy").items():
        specification = policy["spec"]
        targets = selected(specification["podSelector"], pods)
        assert targets, name
        for direction, peer_key in (("ingress", "from"), ("egress", "to")):
            for rule in specification.get(direction, []):
                peers = [peer for peer in rule.get(peer_key, []) if "namespaceSelector" not in peer]
                for peer in peers:
                    assert selected(peer["podSelector"], pods), name
                servers = targets if direction == "ingress" else set()
                for peer in peers if direction == "egress" else []:
                    servers = servers | selected(peer["podSelector"], pods)
                existing = {port for server in servers for port in pods[server][1].values()}
                if servers:
                    assert {port["port"] for port in rule["ports"]} <= existing, name


def allows(policies, direction, labels, peer_labels, port):
    """Return whether the policies allow a connection from or to a pod of the namespace, as Kubernetes decides it."""
    key = {"ingress": "from", "egress": "to"}[direction]
    applying = [
        policy["spec"]
        for policy in policies
        if direction.capitalize() in policy["spec"]["policyTypes"] and matches(policy["spec"]["podSelector"], labels)
    ]
    if not applying:
        return True
    rules = [rule for specification in applying for rule in specification.get(direction, [])]
    return any(
        (not rule.get("ports") or port in {allowed["port"] for allowed in rule["ports"]})
        and (
            not rule.get(key)
            or any("namespaceSelector" not in peer and matches(peer["podSelector"], peer_labels) for peer in rule[key])
        )
        for rule in rules
    )


@pytest.mark.parametrize("server", sorted(CLIENTS))
def test_only_expected_programs_can_connect(manifests, pods, server):
    policies = manifests.of_kind("NetworkPolicy").values()
    labels, ports = pods[server]
    port = next(iter(ports.values()))
    clients = {
        client
        for client, (client_labels, _) in pods.items()
        if client != server
        and allows(policies, "egress", client_labels, labels, port)
        and allows(policies, "ingress", labels, client_labels, port)
    }
    assert clients == CLIENTS[server]


def test_every_program_may_resolve_names_and_opens_no_other_connection(manifests, pods):
    policies = manifests.of_kind("NetworkPolicy")
    default = policies["deny-by-default"]["spec"]
    assert default["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in default
    # A name server may be a cache on the node, which no label of a pod selects.
    (names,) = default["egress"]
    assert names.keys() == {"ports"} and {port["port"] for port in names["ports"]} == {53}
    own = {name for name in pods if manifests.name == "small" or name not in OPERATED}
    assert selected(default["podSelector"], pods) == own
    outside = {name for name, policy in policies.items() if {} in policy["spec"].get("egress", [])}
    assert outside == {"sources"}
    assert selected(policies["sources"]["spec"]["podSelector"], pods) == {
        "specstore-web", "specstore-worker", "specstore-migrate",
    }  # fmt: skip


def test_no_other_pod_of_the_cluster_reaches_a_server(manifests, pods):
    policies = manifests.of_kind("NetworkPolicy").values()
    for name, (labels, ports) in pods.items():
        for port in ports.values():
            if name != "gateway":
                assert not allows(policies, "ingress", labels, {"app": "foreign"}, port), name
