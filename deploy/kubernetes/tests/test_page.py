"""The commands and files in docs/how-to/run-on-kubernetes.md fit the manifests."""

import re

import pytest
import yaml

from quintet_e2e.prometheus import promtool

pytestmark = pytest.mark.slow

SERVICES = ["sequence", "event", "orders", "specstore", "factory"]
WORKLOADS = ("Deployment", "Job")
COMPONENT = "app.kubernetes.io/component"


def components_of(objects):
    return {item["metadata"]["labels"][COMPONENT] for item in objects.values()}


def test_commands_start_workers_before_webs_and_after_migrations(manifests, page):
    applied_first = re.search(rf"apply -k my-overlay -l '{COMPONENT} notin \((.*)\)'", page)[1].split(",")
    assert components_of(manifests.of_kind("Deployment")) == {*applied_first, "cache"}
    awaited = re.search(rf"job -l '{COMPONENT} in \((.*)\)'", page)[1].split(",")
    assert components_of(manifests.of_kind("Job")) == {*awaited}
    commands = [line.strip() for line in page.splitlines() if line.strip().startswith("kubectl")]
    patterns = "wait --for=condition=complete job", f"rollout status deployment -l {COMPONENT}=worker", "-k my-overlay$"
    migrations, workers, rest = (
        next(i for i, command in enumerate(commands) if re.search(pattern, command)) for pattern in patterns
    )
    assert migrations < workers < rest
    assert commands[workers - 1] == f"kubectl apply -k my-overlay -l {COMPONENT}=worker"


def test_changed_setting_does_not_change_a_job(manifests, render_overlay):
    """Kubernetes would reject the change, so the setting could not be applied."""
    generators = [
        {"name": f"{service}-settings", "behavior": "merge", "literals": ["LOG_LEVEL=debug"]} for service in SERVICES
    ]
    overlay = {
        "namespace": "quintet",
        "resources": [f"path/to/quintet/deploy/kubernetes/overlays/{manifests.name}"],
        "configMapGenerator": generators,
    }
    text = render_overlay(yaml.safe_dump(overlay))
    changed = {item["metadata"]["name"]: item for item in yaml.safe_load_all(text) if item["kind"] in WORKLOADS}
    before = manifests.of_kind(*WORKLOADS)
    different = {name for name, item in before.items() if changed[name] != item}
    assert different == {f"{service}-{kind}" for service in SERVICES for kind in ("web", "worker")}


def test_scrape_configuration_finds_each_port_that_the_component_opens(manifests_with_components, page, tmp_path):
    (text,) = re.findall(r"```yaml\n(# prometheus.yml\n.*?)```", page, re.DOTALL)
    configuration = yaml.safe_load(text)
    programs, servers = configuration["scrape_configs"]
    for job in (programs, servers):
        # Debian's promtool is built without this way of discovery, so it checks only the rest.
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["quintet"]}}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    result = promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")
    assert result.returncode == 0, result.stdout + result.stderr
    keep, service, process, _ = programs["relabel_configs"]
    prefix = "__meta_kubernetes_pod_label_"
    assert [rule["target_label"] for rule in (service, process)] == ["service", "process"]
    pods = [item["spec"]["template"]["metadata"] for item in manifests_with_components.of_kind(*WORKLOADS).values()]
    # Prometheus replaces characters that are not valid in the name of one of its labels.
    labels = [{re.sub(r"\W", "_", name): value for name, value in pod["labels"].items()} for pod in pods]
    kept = [pod for pod in labels if re.fullmatch(keep["regex"], pod[keep["source_labels"][0].removeprefix(prefix)])]
    found = {tuple(pod[rule["source_labels"][0].removeprefix(prefix)] for rule in (service, process)) for pod in kept}
    assert found == {(name, kind) for name in SERVICES for kind in ("web", "worker")}

    ports = {}
    for name, policy in manifests_with_components.of_kind("NetworkPolicy").items():
        if name.endswith("-metrics"):
            (rule,) = policy["spec"]["ingress"]
            (peer,) = rule["from"]
            assert peer.keys() == {"namespaceSelector", "podSelector"}
            ports[name.removesuffix("-metrics")] = [port["port"] for port in rule["ports"]]
    assert ports == {"web": [8000], "worker": [9100], "database": [9187], "broker": [15692]}
    assert servers["relabel_configs"][0]["regex"] == "9187|15692"
