"""Clocks that step: each container sees the time of the machine and an offset, which changes while it runs."""

import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from quintet_e2e.stacks import CHECKOUT

COMPILER = "cc"
_SOURCE = Path(__file__).with_name("clock.c")
_FOLDER_IN_CONTAINERS = Path("/clocks")
_LIBRARY = "clock.so"
_OFFSET_BYTES = 8


class Clocks:
    """The clocks of the programs. The folder must exist and be readable by them."""

    def __init__(self, folder: Path, programs: Collection[str]) -> None:
        self._folder, self._programs = folder, programs
        for program in programs:
            (folder / program).write_bytes(bytes(_OFFSET_BYTES))
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O2", "-o", folder / _LIBRARY, _SOURCE], check=True)

    def environment(self, program: str, folder: Path | None = None) -> dict[str, str]:
        """Return the variables for a program that sees the folder at this path."""
        folder = folder or self._folder
        return {"LD_PRELOAD": str(folder / _LIBRARY), "CLOCK_OFFSET_FILE": str(folder / program)}

    @contextmanager
    def stepped(self, seconds: int, programs: Collection[str] = ()) -> Iterator[None]:
        """Step the clocks of these programs, or of all, forward or backward, and back at the end of the block."""
        self._set(seconds, programs or self._programs)
        try:
            yield
        finally:
            self._set(0, self._programs)

    def _set(self, seconds: int, programs: Collection[str]) -> None:
        for program in programs:
            # In place, because the program has mapped the file.
            with (self._folder / program).open("r+b") as file:
                file.write(seconds.to_bytes(_OFFSET_BYTES, sys.byteorder, signed=True))


def clocks_for_compose(folder: Path) -> tuple[Clocks | None, list[Path]]:
    """Return a clock for each program of docker-compose.yml, and the file for Docker Compose that gives them to it.

    Without a C compiler, return None and no file.
    """
    if not shutil.which(COMPILER):
        return None, []
    programs = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    clocks = Clocks(folder, programs)
    volume = f"{folder}:{_FOLDER_IN_CONTAINERS}:ro"
    changes = {
        program: {"environment": clocks.environment(program, _FOLDER_IN_CONTAINERS), "volumes": [volume]}
        for program in programs
    }
    file = folder / "clocks.yml"
    file.write_text(yaml.safe_dump({"services": changes}))
    return clocks, [file]
