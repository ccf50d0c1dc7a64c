"""The reference of settings and the table of guarantees agree with the code."""

import re

import pytest
from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from console_service.settings import Settings as ConsoleSettings
from quintet_e2e.checkout import CHECKOUT, all_services, code_spans, table_rows

SETTINGS_DOCUMENT = (CHECKOUT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
SETTINGS_CLASSES = {service.name: service.settings_class() for service in all_services()} | {"console": ConsoleSettings}
SERVICES = [name for name in SETTINGS_CLASSES if name != "console"]


def described_settings():
    """Yield (variable, default, names of its readers) of each row; the default is the text of its cell."""
    for variable, default, readers, _ in table_rows(SETTINGS_DOCUMENT, "variable", "default", "services", "meaning"):
        names = [name for reader in readers.split(", ") for name in (SERVICES if reader == "all" else [reader])]
        yield code_spans(variable)[0], default, names


@pytest.mark.parametrize("reader", SETTINGS_CLASSES)
def test_reference_lists_settings_with_defaults(reader):
    described = {name: default for name, default, readers in described_settings() if reader in readers}
    fields = SETTINGS_CLASSES[reader].model_fields
    assert sorted(described) == sorted(name.upper() for name in fields)
    for name, field in fields.items():
        default = described[name.upper()]
        if field.default is PydanticUndefined:
            assert default == "required", name
        elif field.default is None:
            assert default == "none", name
        else:
            (value,) = code_spans(default)
            # A default that is text may be a word that the field itself resolves, as `auto`.
            is_text = isinstance(field.default, str)
            assert (value if is_text else TypeAdapter(field.annotation).validate_python(value)) == field.default, name


def test_reference_lists_settings_of_gateway():
    script = (CHECKOUT / "gateway" / "render.sh").read_text()
    defaults = dict(re.findall(r'^: "\$\{([A-Z_]+):=(.*)\}"', script, re.MULTILINE))
    described = {name: default for name, default, readers in described_settings() if readers == ["gateway"]}
    assert described == {name: f"`{default}`" if default else "none" for name, default in defaults.items()}


def test_guarantees_name_existing_tests():
    text = (CHECKOUT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    rows = table_rows(text, "promise", "survives", "test")
    assert len(rows) > 40
    for promise, _, test in rows:
        files = code_spans(test)
        assert files, promise
        assert [file for file in files if not (CHECKOUT / file).is_file()] == [], promise


def test_each_fault_and_race_names_existing_tests():
    text = (CHECKOUT / "docs" / "testing.md").read_text(encoding="utf-8")
    rows = table_rows(text, "fault or race", "test")
    expected = [f"F{number}" for number in range(1, 23)] + [f"R{number}" for number in range(1, 13)]
    assert [name.partition(":")[0] for name, _ in rows] == expected
    for name, test in rows:
        files = [code for code in code_spans(test) if "/" in code]
        assert files, name
        assert [file for file in files if not (CHECKOUT / file).is_file()] == [], name
