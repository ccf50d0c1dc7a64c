"""Prometheus and Grafana in docker-compose.yml: their files, and the networks of what they read. Neither is started."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from quintet_e2e.checkout import CHECKOUT
from quintet_e2e.prometheus import FOLDER

ENVIRONMENT = {"COMPOSE_PROJECT_NAME": "quintet-tests-profile", "STACK_ID": "none"}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Return the programs of the profile as `docker compose` reads them, which needs no engine."""
    if not shutil.which("docker"):
        pytest.skip("Docker is not installed: command `docker` not found")
    env_file = tmp_path_factory.mktemp("stack") / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in ENVIRONMENT.items()))
    command = ["docker", "compose", "--project-directory", str(CHECKOUT), "--env-file", str(env_file)]
    result = subprocess.run(
        [*command, "--profile", "observability", "config", "--format", "json"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["services"]


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_mounted_files_exist_and_are_read_only(programs, name):
    mounts = [mount for mount in programs[name]["volumes"] if mount["type"] == "bind"]
    assert mounts
    for mount in mounts:
        assert mount["read_only"], mount
        assert str(FOLDER) in mount["source"], mount
        assert Path(mount["source"]).exists(), mount


def scraped_hosts():
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    for job in configuration["scrape_configs"]:
        yield from (name for sd in job.get("dns_sd_configs", ()) for name in sd["names"])
        yield from (target.split(":")[0] for sd in job.get("static_configs", ()) for target in sd["targets"])


def test_prometheus_scrapes_every_web_and_worker_and_the_broker(programs):
    expected = {name for name in programs if name.endswith(("-web", "-worker"))} | {"rabbitmq"}
    assert sorted(scraped_hosts()) == sorted(expected)


def test_prometheus_shares_exactly_one_network_with_each_program_that_it_scrapes(programs):
    networks = programs["prometheus"]["networks"].keys()
    shared = {host: networks & programs[host]["networks"].keys() for host in scraped_hosts()}
    # With two shared networks, DNS would return both addresses, and Prometheus would scrape each process twice.
    assert {host: names for host, names in shared.items() if len(names) != 1} == {}


def test_grafana_reads_the_provisioned_files_and_prometheus(programs):
    provisioning = FOLDER / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "quintet.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert programs["grafana"]["networks"].keys() & programs["prometheus"]["networks"].keys() == {"monitoring"}
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "quintet.yml").read_text())["providers"]
    targets = {mount["target"]: mount["source"] for mount in programs["grafana"]["volumes"] if mount["type"] == "bind"}
    assert targets[provider["options"]["path"]] == str(FOLDER / "grafana" / "dashboards")
