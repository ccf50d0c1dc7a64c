"""Prometheus and promtool: those of the system, or else of Debian's package; and what deploy/observability contains."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from quintet_e2e.checkout import CHECKOUT
from quintet_local import debian, ports
from quintet_local.progress import StackError
from quintet_testing.waiting import eventually

FOLDER = CHECKOUT / "deploy" / "observability"
_UNPACKED = Path(sys.prefix) / "prometheus"
# Both programs need only libraries that every Debian has.
_NO_DEPENDENCIES = re.compile("prometheus")


def program(name: str) -> Path:
    """Return the path of `prometheus` or `promtool`; skip the test if it is neither installed nor can be downloaded."""
    if installed := shutil.which(name):
        return Path(installed)
    try:
        debian.ensure_unpacked("prometheus", _NO_DEPENDENCIES, _UNPACKED)
    except StackError as error:
        pytest.skip(f"Debian's package prometheus is neither installed nor can it be downloaded: {error}")
    return _UNPACKED / "usr" / "bin" / name


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("promtool"), *arguments], capture_output=True, text=True)


def dashboard_queries() -> dict[str, str]:
    """Return the legend of each query of the dashboards; variables are replaced as Grafana does, for all services."""
    files = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
    panels = [panel for file in files for panel in json.loads(file.read_text())["panels"]]
    targets = [target for panel in panels for target in panel.get("targets", [])]
    variables = (("$service", ".+"), ("$__rate_interval", "1m"))
    return {_replace_all(target["expr"], variables): target["legendFormat"] for target in targets}


def _replace_all(text: str, replacements: Iterable[tuple[str, str]]) -> str:
    for old, new in replacements:
        text = text.replace(old, new)
    return text


def rules() -> list[dict[str, Any]]:
    """Return all recording rules and alerts."""
    files = sorted((FOLDER / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def used_metrics() -> set[str]:
    """Return the names of the metrics that rules, alerts and dashboards read, without those that rules record."""
    queries = [*dashboard_queries(), *(rule["expr"] for rule in rules())]
    return {name for query in queries for name in re.findall(r"(?<![\w:])quintet_\w+", query)}


class Server:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of a response of its API."""
        response = requests.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=10)
        assert response.ok, response.text
        return response.json()["data"]

    def query(self, expression: str) -> list[dict[str, str]]:
        """Return the labels of each series that the query returns."""
        return [series["metric"] for series in self.get("query", query=expression)["result"]]

    def firing_alerts(self) -> list[dict[str, str]]:
        return [alert["labels"] for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"]


@contextmanager
def running_prometheus(configuration: Path, folder: Path) -> Iterator[Server]:
    """Run Prometheus with this configuration, but with intervals of a second, until the block ends."""
    file = folder / "prometheus.yml"
    file.write_text(configuration.read_text().replace("_interval: 15s", "_interval: 1s"))
    address = f"127.0.0.1:{ports.find_free_port(set())}"
    options = [f"--config.file={file}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program("prometheus"), *options], stdout=log, stderr=log)
    try:
        server = Server(f"http://{address}")
        eventually(lambda: server.get("status/buildinfo"))
        yield server
    finally:
        process.terminate()
        process.wait(60)


_DOCKERFILE = """
FROM {base}
COPY prometheus /bin/prometheus
RUN install -d -o 65534 -g 65534 /prometheus
ENTRYPOINT ["/bin/prometheus"]
"""


@contextmanager
def container_image(folder: Path) -> Iterator[str]:
    """Build an image that is used like prom/prometheus, with the program of Debian; remove it at the end."""
    name = f"quintet-tests-prometheus:{secrets.token_hex(4)}"
    (folder / "Dockerfile").write_text(_DOCKERFILE.format(base=os.environ.get("PYTHON_IMAGE") or "python:3.13-slim"))
    shutil.copy(program("prometheus"), folder)
    subprocess.run(["docker", "build", "--quiet", "--tag", name, str(folder)], check=True, capture_output=True)
    try:
        yield name
    finally:
        subprocess.run(["docker", "image", "rm", name], capture_output=True)
