"""The version has one source, the file VERSION, and every distribution and document states it."""

import re
import tomllib
from importlib import metadata

import pytest
import yaml

from quintet_e2e.checkout import CHECKOUT

VERSION = (CHECKOUT / "VERSION").read_text().strip()
PROJECTS = sorted(
    file
    for pattern in ("*/pyproject.toml", "gateway/*/pyproject.toml", "deploy/*/pyproject.toml")
    for file in CHECKOUT.glob(pattern)
)


def test_version_is_a_release_number():
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


@pytest.mark.parametrize("file", PROJECTS, ids=lambda file: str(file.parent.relative_to(CHECKOUT)))
def test_project_takes_version_from_file_and_states_license(file):
    project = tomllib.loads(file.read_text())
    assert project["project"]["license"] == "MIT"
    if "build-system" in project:
        assert project["project"]["dynamic"] == ["version"]
        source = project["tool"]["hatch"]["version"]["path"]
        assert (file.parent / source).resolve() == CHECKOUT / "VERSION"
        assert metadata.version(project["project"]["name"]) == VERSION


def test_service_and_its_document_report_version(service):
    assert service.app().version == VERSION
    assert yaml.safe_load((service.folder / "openapi.yaml").read_text())["info"]["version"] == VERSION


def test_changelog_describes_version():
    assert f"\n## [{VERSION}] " in (CHECKOUT / "CHANGELOG.md").read_text()
