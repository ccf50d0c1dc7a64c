"""The files of this checkout, service by service, as the conventions look at them."""

import importlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet_local import services

CHECKOUT = Path(__file__).resolve().parents[2]
LEFT_BY_TOOLS = {"__pycache__", ".pytest_cache", ".hypothesis", ".ruff_cache", ".mypy_cache"}
UNUSED_DATABASE = "postgresql://nobody@127.0.0.1:1/nothing"
# Every service has them from the chassis, and its document leaves them out.
OF_THE_CHASSIS = "health."


@dataclass(frozen=True)
class Service:
    word: str

    @property
    def folder(self) -> Path:
        return CHECKOUT / f"{self.word}-service"

    @property
    def package(self) -> str:
        return f"{self.word}_service"

    @property
    def source(self) -> Path:
        return self.folder / "src" / self.package

    @property
    def readme(self) -> str:
        return (self.folder / "README.md").read_text(encoding="utf-8")

    def settings(self) -> Any:
        """The class."""
        return importlib.import_module(f"{self.package}.settings").Settings

    def settings_by_default(self) -> Any:
        return self.settings().load({"DATABASE_URL": UNUSED_DATABASE})

    def app(self) -> Any:
        return importlib.import_module(f"{self.package}.app").create_app(self.settings_by_default())

    def contracts(self, side: str) -> dict[str, Any]:
        """By name and version: `publishes` or `consumes`."""
        return {file.stem: json.loads(file.read_text()) for file in self.folder.glob(f"contracts/{side}/*.json")}


def all_services() -> list[Service]:
    return [Service(word) for word in services.discover(CHECKOUT)]


def names_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} - LEFT_BY_TOOLS


def python_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.py") if not LEFT_BY_TOOLS & set(file.parts))


def table(text: str, *columns: str) -> list[list[str]]:
    """The rows of all tables with that heading."""
    heading = "| " + " | ".join(columns) + " |\n"
    rows = []
    for part in text.split(heading)[1:]:
        lines = part.splitlines()[1:]
        end = next((place for place, line in enumerate(lines) if not line.startswith("|")), len(lines))
        rows += [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines[:end]]
    return rows


def code_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
