"""Every object is valid in the schemas of Kubernetes, and none is missing."""

import collections
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

KUBERNETES = Path(__file__).resolve().parents[1]
COUNTS = {"small": 69, "production": 75}
# The validator has no schemas of custom resources, and accepts an object of an unknown kind with a warning.
CUSTOM_KINDS = {
    "small": set(),
    "production": {"Cluster", "ObjectStore", "ScheduledBackup", "RabbitmqCluster"},
    "production with components": {
        "Cluster", "ObjectStore", "ScheduledBackup", "RabbitmqCluster", "ScaledObject", "TriggerAuthentication",
    },
}  # fmt: skip


def validate(tools, text, tmp_path):
    """Return the lines that the validator prints: one that begins with `INFO` for each valid object."""
    file = tmp_path / "manifests.yaml"
    file.write_text(text)
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", str(file)]
    environment = {**os.environ, "PYTHONPATH": str(tools)}
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout.splitlines()


def test_overlay_has_expected_number_of_objects(manifests):
    names = collections.Counter((item["kind"], item["metadata"]["name"]) for item in manifests.objects)
    assert names.total() == COUNTS[manifests.name], names
    assert set(names.values()) == {1}


def assert_valid(manifests, tools, tmp_path):
    lines = validate(tools, manifests.text, tmp_path)
    valid = [line for line in lines if line.startswith("INFO") and " passed for resource " in line]
    unknown_kinds = re.findall(r"^WARN .* schema for kind (\w+) with", "\n".join(lines), re.MULTILINE)
    assert set(unknown_kinds) == CUSTOM_KINDS[manifests.name]
    assert len(valid) + len(unknown_kinds) == len(lines) == len(manifests.objects)


def test_every_object_is_valid(manifests, tools, tmp_path):
    assert_valid(manifests, tools, tmp_path)


def test_overlay_of_the_page_is_valid(manifests_with_components, tools, tmp_path):
    assert_valid(manifests_with_components, tools, tmp_path)
    scaled = manifests_with_components.of_kind("ScaledObject")
    assert scaled.keys() == {"event-worker", "orders-worker", "specstore-worker", "factory-worker"}
    assert all(
        item["metadata"]["namespace"] == "quintet"
        for item in manifests_with_components.objects
        if item["kind"] != "Namespace"
    )


def test_policy_of_the_page_is_valid(page, tools, tmp_path):
    (policy,) = re.findall(r"```yaml\n(# traces.yaml\n.*?)```", page, re.DOTALL)
    (line,) = validate(tools, policy, tmp_path)
    assert line.startswith("INFO")


@pytest.mark.parametrize(
    ("correct", "wrong"),
    [("maxSurge: 1", "maxSurges: 1"), ("containerPort: 8000", "containerPort: http"), ("kind: Job", "kind: Jobs")],
)
def test_validation_reports_mistakes(render, tools, tmp_path, correct, wrong):
    text = render(KUBERNETES / "overlays" / "small")
    assert correct in text
    lines = validate(tools, text.replace(correct, wrong, 1), tmp_path)
    assert [line for line in lines if not line.startswith("INFO")]
