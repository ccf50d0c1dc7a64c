"""The generated modules equal what generate.py makes of their sources, and both clients have the same methods."""

import importlib.util
import inspect
from pathlib import Path

import pytest

import quintet
import quintet.errors

CLIENT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generated_files():
    spec = importlib.util.spec_from_file_location("client_generate", CLIENT / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    return generate.generated_files()


def test_twins_and_models_are_up_to_date(generated_files):
    """Run `make openapi` if this fails."""
    outdated = [file for file, content in generated_files.items() if file.read_text(encoding="utf-8") != content]
    assert outdated == []


def test_folders_have_no_other_modules(generated_files):
    folders = {file.parent for file in generated_files}
    assert {file for folder in folders for file in folder.glob("*.py")} == set(generated_files)


def test_synchronous_modules_are_synchronous(generated_files):
    for file, content in generated_files.items():
        if file.parent.name == "_sync":
            assert not {"async", "await", "asyncio"} & set(content.split()), file
            assert "Async" not in content, file


def public_signatures(class_):
    """Return the parameters of the public methods, with the return types of both clients written alike."""
    return {
        name: str(inspect.signature(member)).replace("Async", "").replace("[Event, None, None]", "[Event, None]")
        for name, member in inspect.getmembers(class_, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("name", [name for name in quintet.__all__ if name.startswith("Async")])
def test_twins_have_the_same_methods(name):
    asynchronous, synchronous = getattr(quintet, name), getattr(quintet, name.removeprefix("Async"))
    signatures = public_signatures(asynchronous)
    if "aclose" in signatures:
        signatures["close"] = signatures.pop("aclose")
    assert signatures == public_signatures(synchronous)


def test_public_names_are_listed_in_order_and_exist():
    assert quintet.__all__ == sorted(quintet.__all__)
    assert all(inspect.isclass(getattr(quintet, name)) for name in quintet.__all__)


def test_all_exceptions_are_public():
    exceptions = {name for name, value in vars(quintet.errors).items() if inspect.isclass(value)}
    exceptions = {name for name in exceptions if issubclass(getattr(quintet.errors, name), Exception)}
    assert exceptions <= set(quintet.__all__)


def test_package_is_typed():
    assert (CLIENT / "src" / "quintet" / "py.typed").exists()
