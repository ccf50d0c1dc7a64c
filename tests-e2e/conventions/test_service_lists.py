"""Lists of services, of pinned dependencies and of Makefile targets are complete."""

import re
import tomllib
from itertools import chain

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from quintet_e2e.checkout import CHECKOUT


@pytest.fixture(scope="session")
def tools():
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]


def test_dependencies_of_packages_are_pinned():
    pins = (CHECKOUT / "deploy" / "requirements.txt").read_text()
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", pins, re.MULTILINE))
    assert pins.count("--hash=sha256:") >= len(pinned)
    for file in [
        *CHECKOUT.glob("*/pyproject.toml"),
        *CHECKOUT.glob("gateway/*/pyproject.toml"),
        CHECKOUT / "deploy" / "local" / "pyproject.toml",
    ]:
        project = tomllib.loads(file.read_text())["project"]
        extras = project.get("optional-dependencies", {}).values()
        for requirement in map(Requirement, [*project["dependencies"], *chain.from_iterable(extras)]):
            name = canonicalize_name(requirement.name)
            if not name.startswith("quintet-"):
                assert name in pinned, f"{file}: {name} (`make pins`)"
                assert requirement.specifier.contains(pinned[name], prereleases=True), f"{file}: {name} (`make pins`)"


def test_gateway_routes_to_and_shows_each_service(service):
    template = (CHECKOUT / "gateway" / "nginx.conf.template").read_text()
    assert f"set $upstream {service.name}-web;" in template
    services_page = CHECKOUT / "gateway" / "console" / "src" / "console_service" / "routes" / "services.py"
    for page in (services_page, CHECKOUT / "gateway" / "pages" / "docs" / "index.html"):
        assert f"{service.name}-service" in page.read_text(), page


def test_compose_lists_every_service_once():
    """Gateway, console and event-service receive this list in containers; the local mode reads the folders."""
    compose = (CHECKOUT / "docker-compose.yml").read_text()
    listed = re.search(r"^x-services: &services ([a-z,]+)$", compose, re.MULTILINE)[1].split(",")
    assert sorted(listed) == sorted(folder.name.removesuffix("-service") for folder in CHECKOUT.glob("*-service"))
    assert compose.count("SERVICES: *services") == 2 and compose.count("RESERVED_STREAMS: *services") == 1


def test_tools_check_each_service(tools, service):
    folder, package = f"{service.name}-service", service.package
    assert f"{folder}/tests" in tools["pytest"]["ini_options"]["testpaths"]
    assert f"{folder}/src" in tools["mypy"]["files"]
    rules = tools["importlinter"]
    assert package in rules["root_packages"]
    rules_by_name = {rule["name"]: rule for rule in rules["contracts"]}
    assert package in rules_by_name["A service never imports another"]["modules"]
    assert package in rules_by_name["The chassis knows no service"]["forbidden_modules"]
    assert f"{package}.domain" in rules_by_name["Only errors reach the domain"]["source_modules"]
    assert (
        f"{package}.operations" in rules_by_name["Operations know neither HTTP nor broker nor cache"]["source_modules"]
    )
    assert package in rules_by_name["Nothing in production uses the test plugin"]["source_modules"]


def test_every_make_target_has_help():
    makefile = (CHECKOUT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):(?!=)(.*)", makefile, re.MULTILINE)
    assert [name for name, text in targets if " ## " not in text] == []


def test_package_is_named_after_service(service):
    project = tomllib.loads((service.folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"quintet-{service.name}-service"
    assert "quintet-chassis" in project["dependencies"]
