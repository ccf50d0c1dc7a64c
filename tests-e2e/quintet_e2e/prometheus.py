"""Prometheus and its tool promtool: those of the system, or else Debian's package, unpacked into .venv."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from quintet_e2e.checkout import CHECKOUT
from quintet_local import debian
from quintet_local.progress import StackError

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


def dashboard_queries() -> list[str]:
    """Return each query of the committed dashboards with the variables replaced as Grafana does, for all services."""
    files = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
    panels = [panel for file in files for panel in json.loads(file.read_text())["panels"]]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return [query.replace("$service", ".+").replace("$__rate_interval", "1m") for query in queries]


def rules() -> list[dict[str, Any]]:
    """Return all recording rules and alerts."""
    files = sorted((FOLDER / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]
