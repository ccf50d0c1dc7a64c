"""All services are built alike: the same files, the same image, nothing too long to be read."""

import ast
import re

import pytest

from quintet_e2e.checkout import CHECKOUT, all_services, names_in, python_files

FOLDER = {"README.md", "Dockerfile", "pyproject.toml", "openapi.yaml", "src", "tests"}
PACKAGE = {"__init__.py", "__main__.py", "settings.py", "app.py", "migrations"}
# A module, or a package of that name where it has grown too long.
MAY_BE_PACKAGES = {"routes", "handlers", "operations", "domain", "store", "clients", "cache", "batcher", "poller"}
TESTS = {"conftest.py", "unit", "integration", "contract"}
LONGEST_FILE = 250
LONGEST_CHASSIS_MODULE = 210
LARGEST_CHASSIS = 3710


def lines_of(file):
    return len(file.read_text(encoding="utf-8").splitlines())


def test_a_service_has_these_files_and_no_others(service):
    assert names_in(service.folder) - {"contracts", "samples"} == FOLDER
    assert names_in(service.folder / "src") == {service.package}


def test_a_package_speaks_the_closed_vocabulary(service):
    names = names_in(service.source)
    assert names >= PACKAGE
    for name in names - PACKAGE:
        assert name.removesuffix(".py") in MAY_BE_PACKAGES, f"{name} is none of the words of DESIGN.md"
        assert name.endswith(".py") or (service.source / name / "__init__.py").exists()


def test_tests_are_unit_integration_and_contract(service):
    names = names_in(service.folder / "tests")
    assert names == TESTS
    for kind in names - {"conftest.py"}:
        assert list((service.folder / "tests" / kind).glob("test_*.py")), kind


def test_no_folder_of_tests_is_a_package():
    for tests in [*CHECKOUT.glob("*/tests"), *CHECKOUT.glob("*/*/tests"), CHECKOUT / "tests-e2e" / "journeys"]:
        if ".venv" not in tests.parts:
            assert not list(tests.rglob("__init__.py"))


def test_the_package_says_in_one_sentence_what_it_is(service):
    module = ast.parse((service.source / "__init__.py").read_text())
    assert ast.get_docstring(module)
    assert len(module.body) == 1


def test_every_module_begins_with_a_sentence():
    sources = [CHECKOUT / "chassis" / "src", *(service.source for service in all_services())]
    for file in (file for source in sources for file in python_files(source)):
        if file.name not in ("__main__.py", "__init__.py"):
            assert ast.get_docstring(ast.parse(file.read_text())), file


def test_migrations_are_numbered_without_a_gap(service):
    names = sorted(names_in(service.source / "migrations") - {"__init__.py"})
    assert [name[:4] for name in names] == [f"{number:04d}" for number in range(1, len(names) + 1)]
    for name in names:
        assert re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name)


def test_no_file_of_a_service_is_too_long(service):
    assert {file: lines_of(file) for file in python_files(service.source) if lines_of(file) > LONGEST_FILE} == {}


def test_no_file_of_tests_is_too_long():
    tests = [file for folder in CHECKOUT.glob("*/tests") for file in python_files(folder)]
    tests += python_files(CHECKOUT / "tests-e2e")
    assert {file: lines_of(file) for file in tests if lines_of(file) > LONGEST_FILE + 100} == {}


def test_the_chassis_stays_small():
    modules = {file: lines_of(file) for file in python_files(CHECKOUT / "chassis" / "src")}
    assert {name: lines for name, lines in modules.items() if lines > LONGEST_CHASSIS_MODULE} == {}
    assert sum(modules.values()) <= LARGEST_CHASSIS


def test_the_chassis_and_its_tests_name_no_service(words):
    """What is called after a service belongs to that service; prose may give an example."""
    for file in python_files(CHECKOUT / "chassis" / "src"):
        names = {node.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)}
        assert not names & {f"{word}_service" for word in words}, file


def test_the_images_differ_by_one_word():
    services = all_services()
    files = [(service.folder / "Dockerfile").read_text() for service in services]
    neutral = {
        text.replace(f"{service.word}-service", "<word>-service").replace(service.package, "<word>_service")
        for text, service in zip(files, services, strict=True)
    }
    assert len(neutral) == 1
    copied = re.findall(r"^COPY (?!--from)(\S+)", neutral.pop(), re.MULTILINE)
    assert copied == ["deploy/requirements.txt", "chassis", "<word>-service"]


TOP = ["README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "VERSION", "Makefile"]


@pytest.mark.parametrize("name", [*TOP, "docker-compose.yml", ".ci/run", ".gitignore", ".pre-commit-config.yaml"])
def test_the_top_has_what_a_newcomer_looks_for(name):
    assert (CHECKOUT / name).exists()
