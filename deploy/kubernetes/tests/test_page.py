"""The commands and files in docs/how-to/run-on-kubernetes.md fit the manifests."""

import re
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "how-to" / "run-on-kubernetes.md").read_text()
WORKLOADS = ("Deployment", "Job")
COMPONENT = "app.kubernetes.io/component"


def components_of(objects):
    return {item["metadata"]["labels"][COMPONENT] for item in objects.values()}


def test_commands_start_workers_before_webs_and_after_migrations(manifests):
    applied_first = re.search(rf"apply -k my-overlay -l '{COMPONENT} notin \((.*)\)'", PAGE)[1].split(",")
    assert components_of(manifests.of_kind("Deployment")) == {*applied_first, "cache"}
    awaited = re.search(rf"job -l '{COMPONENT} in \((.*)\)'", PAGE)[1].split(",")
    assert components_of(manifests.of_kind("Job")) == {*awaited}
    commands = [line.strip() for line in PAGE.splitlines() if line.strip().startswith("kubectl")]
    patterns = "wait --for=condition=complete job", f"rollout status deployment -l {COMPONENT}=worker", "-k my-overlay$"
    migrations, workers, rest = (
        next(i for i, command in enumerate(commands) if re.search(pattern, command)) for pattern in patterns
    )
    assert migrations < workers < rest
    assert commands[workers - 1] == f"kubectl apply -k my-overlay -l {COMPONENT}=worker"


def test_changed_setting_does_not_change_a_job(manifests, render_overlay):
    """Kubernetes would reject the change, so the setting could not be applied."""
    services = ["sequence", "event", "orders", "specstore", "factory"]
    generators = [
        {"name": f"{service}-settings", "behavior": "merge", "literals": ["LOG_LEVEL=debug"]} for service in services
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
    assert different == {f"{service}-{kind}" for service in services for kind in ("web", "worker")}
