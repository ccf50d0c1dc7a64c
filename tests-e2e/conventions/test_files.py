"""All services have the same structure and image, and no file is too long."""

import ast
import re

import pytest

from quintet_e2e.checkout import CHECKOUT, all_services, entry_names, python_files

SERVICE_ENTRIES = {"README.md", "Dockerfile", "pyproject.toml", "openapi.yaml", "src", "tests"}
PACKAGE_ENTRIES = {"__init__.py", "__main__.py", "settings.py", "app.py", "migrations"}
# Each is a module, or a package of this name if a module would be too long.
MODULES_OR_PACKAGES = {"routes", "handlers", "operations", "domain", "store", "clients", "cache", "batcher", "poller"}
TEST_ENTRIES = {"conftest.py", "unit", "integration", "contract"}
MAX_FILE_LINES = 250
MAX_CHASSIS_MODULE_LINES = 215
MAX_CHASSIS_LINES = 5890


def count_lines(file):
    return len(file.read_text(encoding="utf-8").splitlines())


def test_service_folder_has_exactly_the_expected_entries(service):
    assert entry_names(service.folder) - {"contracts", "samples"} == SERVICE_ENTRIES
    assert entry_names(service.folder / "src") == {service.package}


def test_modules_have_names_of_the_closed_vocabulary(service):
    names = entry_names(service.source)
    assert names >= PACKAGE_ENTRIES
    for name in names - PACKAGE_ENTRIES:
        assert name.removesuffix(".py") in MODULES_OR_PACKAGES, f"{name} is not one of the permitted module names"
        assert name.endswith(".py") or (service.source / name / "__init__.py").exists()


def test_tests_are_unit_integration_or_contract(service):
    names = entry_names(service.folder / "tests")
    assert names == TEST_ENTRIES
    for kind in names - {"conftest.py"}:
        assert list((service.folder / "tests" / kind).glob("test_*.py")), kind


def test_test_folders_are_not_packages():
    for tests in [*CHECKOUT.glob("*/tests"), *CHECKOUT.glob("*/*/tests"), CHECKOUT / "tests-e2e" / "journeys"]:
        if ".venv" not in tests.parts:
            assert not list(tests.rglob("__init__.py"))


def test_package_init_has_only_a_docstring(service):
    module = ast.parse((service.source / "__init__.py").read_text())
    assert ast.get_docstring(module)
    assert len(module.body) == 1


def test_every_module_has_a_docstring():
    sources = [CHECKOUT / "chassis" / "src", *(service.source for service in all_services())]
    for file in (file for source in sources for file in python_files(source)):
        if file.name not in ("__main__.py", "__init__.py"):
            assert ast.get_docstring(ast.parse(file.read_text())), file


def test_migrations_are_numbered_without_gaps(service):
    names = sorted(entry_names(service.source / "migrations") - {"__init__.py"})
    assert [name[:4] for name in names] == [f"{number:04d}" for number in range(1, len(names) + 1)]
    for name in names:
        assert re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name)


def test_no_file_of_service_is_too_long(service):
    assert {
        file: count_lines(file) for file in python_files(service.source) if count_lines(file) > MAX_FILE_LINES
    } == {}


def test_no_test_file_is_too_long():
    tests = [file for folder in CHECKOUT.glob("*/tests") for file in python_files(folder)]
    tests += python_files(CHECKOUT / "tests-e2e")
    assert {file: count_lines(file) for file in tests if count_lines(file) > MAX_FILE_LINES + 100} == {}


def test_chassis_and_its_modules_are_short():
    modules = {file: count_lines(file) for file in python_files(CHECKOUT / "chassis" / "src")}
    assert {name: lines for name, lines in modules.items() if lines > MAX_CHASSIS_MODULE_LINES} == {}
    assert sum(modules.values()) <= MAX_CHASSIS_LINES


def test_chassis_does_not_refer_to_services(service_names):
    """Code for one service belongs to that service; texts may mention one as an example."""
    for file in python_files(CHECKOUT / "chassis" / "src"):
        names = {node.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)}
        assert not names & {f"{name}_service" for name in service_names}, file


def test_dockerfiles_differ_only_in_service_name():
    services = all_services()
    files = [(service.folder / "Dockerfile").read_text() for service in services]
    normalized = {
        text.replace(f"{service.name}-service", "<name>-service").replace(service.package, "<name>_service")
        for text, service in zip(files, services, strict=True)
    }
    assert len(normalized) == 1
    copied = re.findall(r"^COPY (?!--from)(\S+)", normalized.pop(), re.MULTILINE)
    assert copied == ["deploy/requirements.txt", "chassis", "<name>-service"]


TOP_FILES = ["README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "VERSION", "Makefile"]


@pytest.mark.parametrize("name", [*TOP_FILES, "docker-compose.yml", ".ci/run", ".gitignore", ".pre-commit-config.yaml"])
def test_top_folder_has_expected_files(name):
    assert (CHECKOUT / name).exists()
