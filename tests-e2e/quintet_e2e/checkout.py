"""The files of this checkout, by service, for the convention checks."""

import importlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet_local import services

CHECKOUT = Path(__file__).resolve().parents[2]
TOOL_DIRECTORIES = {"__pycache__", ".pytest_cache", ".hypothesis", ".ruff_cache", ".mypy_cache"}
UNUSED_DATABASE_URL = "postgresql://unused@127.0.0.1:1/unused"
# Prefix of the Flask endpoints that the chassis adds to every service; OpenAPI documents omit them.
CHASSIS_ENDPOINT_PREFIX = "health."


@dataclass(frozen=True)
class Service:
    name: str

    @property
    def folder(self) -> Path:
        return CHECKOUT / f"{self.name}-service"

    @property
    def package(self) -> str:
        return f"{self.name}_service"

    @property
    def source(self) -> Path:
        return self.folder / "src" / self.package

    @property
    def readme(self) -> str:
        return (self.folder / "README.md").read_text(encoding="utf-8")

    def settings_class(self) -> Any:
        return importlib.import_module(f"{self.package}.settings").Settings

    def default_settings(self) -> Any:
        return self.settings_class().load({"DATABASE_URL": UNUSED_DATABASE_URL})

    def app(self) -> Any:
        return importlib.import_module(f"{self.package}.app").create_app(self.default_settings())

    def contracts(self, direction: str) -> dict[str, Any]:
        """Return the contracts that the service `publishes` or `consumes`, by name and version."""
        return {file.stem: json.loads(file.read_text()) for file in self.folder.glob(f"contracts/{direction}/*.json")}


def all_services() -> list[Service]:
    return [Service(name) for name in services.discover(CHECKOUT)]


def entry_names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} - TOOL_DIRECTORIES


def python_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.py") if not TOOL_DIRECTORIES & set(file.parts))


def table_rows(text: str, *columns: str) -> list[list[str]]:
    """Return the cells of each row of all Markdown tables with exactly these columns."""
    heading = "| " + " | ".join(columns) + " |\n"
    rows = []
    for part in text.split(heading)[1:]:
        lines = part.splitlines()[1:]
        end = next((index for index, line in enumerate(lines) if not line.startswith("|")), len(lines))
        rows += [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines[:end]]
    return rows


def code_spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
