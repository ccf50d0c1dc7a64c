"""The configuration that `make up` writes for a Prometheus outside of a stack without containers."""

import json

import yaml

from quintet_e2e.checkout import CHECKOUT, all_services
from quintet_e2e.prometheus import FOLDER, promtool
from quintet_local import prometheus
from quintet_local.layout import Layout

PORT = 9181
SERVICES = [service.name for service in all_services()]


def write_configuration(folder):
    prometheus.write_configuration(Layout(home=folder, env_file=folder / ".env"), SERVICES, PORT)
    return folder / "prometheus.yml"


def test_configuration_finds_the_rules_of_the_checkout(tmp_path):
    result = promtool("check", "config", write_configuration(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(list((FOLDER / 'rules').glob('*.yml')))} rule files found" in result.stdout


def test_each_program_is_scraped_through_the_port_of_the_stack(tmp_path):
    result = promtool("check", "service-discovery", write_configuration(tmp_path), "quintet")
    assert result.returncode == 0, result.stderr
    labels = [target["labels"] for target in json.loads(result.stdout)]
    assert {target["__address__"] for target in labels} == {f"127.0.0.1:{PORT}"}
    paths = {(target["service"], target["process"]): target["__metrics_path__"] for target in labels}
    assert paths == {
        (service, process): f"/{service}-{process}/metrics" for service in SERVICES for process in ("web", "worker")
    }


def test_only_the_targets_differ_from_those_of_containers(tmp_path):
    local = yaml.safe_load(write_configuration(tmp_path).read_text())
    containers = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert local.pop("rule_files") == [f"{CHECKOUT}/deploy/observability/{containers.pop('rule_files')[0]}"]
    for configuration in (local, containers):
        assert configuration.pop("scrape_configs")
    assert local == containers
