"""Stacks for tests: the same code in a separate folder with separate ports; everything is removed at the end."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from quintet_local import locking, ports, startup
from quintet_local.envfile import PORT_VARIABLES
from quintet_local.layout import CHECKOUT, Layout
from quintet_local.progress import StackError
from quintet_local.services import discover
from quintet_local.settings import from_environment
from quintet_local.stack import Stack
from quintet_testing.waiting import eventually

PREFIX = "quintet-tests-"
OWNER_LOCK = "owner.lock"


class TestStack(Stack):
    """A running stack, with the addresses and operations that tests need."""

    __test__ = False  # pytest would collect the class because of its name

    @property
    def url(self) -> str:
        """Address of the gateway, without credentials."""
        return self.gateway.address

    @property
    def user(self) -> str:
        return self.settings["ADMIN_USER"]

    @property
    def password(self) -> str:
        return self.settings["ADMIN_PASSWORD"]

    @property
    def amqp_url(self) -> str:
        return self.broker.url()

    @property
    def admin_database_url(self) -> str:
        return self.postgres.admin_url()

    def database_url(self, service: str) -> str:
        """Return a URL with the role of the service, whose search path is its schema."""
        return self.postgres.service_url(service)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the Makefile does."""
        return subprocess.run(
            [sys.executable, str(self.layout.checkout / "deploy" / "local"), *arguments],
            env=os.environ | {"STACK_DIR": str(self.layout.home)},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def pids(self) -> dict[str, int]:
        return {name: state["pid"] for name, state in self.supervisor.states().items()}

    def pid(self, program: str) -> int:
        """Return the process ID of a program such as `sequence-web` or `postgres`, or 0 while it is not running."""
        return int(self.supervisor.states()[program]["pid"])

    def kill(self, program: str) -> int:
        """Send SIGKILL, wait until the supervisor has started the program again, and return the new process ID."""
        killed_pid = self.pid(program)
        os.kill(killed_pid, signal.SIGKILL)
        eventually(lambda: self.pid(program) not in (0, killed_pid))
        return self.pid(program)

    def stop(self, *programs: str) -> None:
        """Stop the programs until `start`, and wait until all of them have ended."""
        self.supervisor.stop(list(programs))

    def start(self, *programs: str) -> None:
        for program in programs:
            self.supervisor.start_program(program)

    def is_healthy(self) -> bool:
        return self.gateway.health().get("status") == "OK"

    def wait_until_healthy(self, within_seconds: float = 180) -> None:
        eventually(self.is_healthy, within_seconds)

    def log(self, program: str) -> str:
        return self.layout.log_of(program).read_text(errors="replace")


@contextmanager
def running_stack(**settings: str) -> Iterator[TestStack]:
    """Run a stack in a temporary folder, from `make up` to `make clean`, with `settings` in its .env."""
    with prepared_stack(**settings) as stack:
        startup.up(stack)
        yield stack


@contextmanager
def prepared_stack(**settings: str) -> Iterator[TestStack]:
    """Create a stack in a temporary folder without starting it, and remove it at the end."""
    for home in abandoned_folders(PREFIX):
        with suppress(StackError):  # it belongs to another checkout
            TestStack(Layout(home=home, env_file=home / ".env")).clean()
    home = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    layout = Layout(home=home, env_file=home / ".env")
    layout.create_folders()
    ignore_environment()
    with owner_lock(home):
        chosen_ports: set[int] = set()
        for _ in PORT_VARIABLES:
            chosen_ports.add(ports.find_free_port(chosen_ports))
        lines = dict(zip(PORT_VARIABLES, map(str, chosen_ports), strict=True)) | settings
        layout.env_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        stack = TestStack(layout)
        try:
            yield stack
        finally:
            TestStack(layout).clean()


def ignore_environment() -> None:
    """Remove the settings of the developer's shell, which would win over .env, from the environment."""
    for name in from_environment(discover(CHECKOUT)):
        del os.environ[name]


@contextmanager
def owner_lock(folder: Path) -> Iterator[None]:
    """Hold a lock in the folder, which shows that its test run is still alive."""
    new = folder / f"{OWNER_LOCK}.new"
    with open(new, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        new.rename(folder / OWNER_LOCK)
        yield


def abandoned_folders(prefix: str) -> list[Path]:
    """Return the folders of test runs that were killed."""
    locks = Path(tempfile.gettempdir()).resolve().glob(f"{prefix}*/{OWNER_LOCK}")
    return [lock.parent for lock in locks if lock.stat().st_uid == os.getuid() and not locking.is_held(lock)]
