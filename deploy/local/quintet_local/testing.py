"""A stack of their own for tests: same code, own folder, own ports, nothing left behind."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quintet_local import ports, processes, startup
from quintet_local.layout import Layout
from quintet_local.stack import Stack
from quintet_testing.waiting import eventually

PREFIX = "quintet-tests-"
OWNER = "owner"


class TestStack(Stack):
    """A running stack, with what a test wants to know of it and to do to it."""

    __test__ = False  # not a class of tests, whatever pytest makes of its name

    @property
    def url(self) -> str:
        """The gateway's address, without credentials."""
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
        """With that service's role, so with its schema in front."""
        return self.postgres.service_url(service)

    def pid(self, program: str) -> int:
        """Of `sequence-web`, `event-worker`, `postgres`, `rabbitmq`, `nginx` …; 0 while it does not run."""
        return int(self.supervisor.states()[program]["pid"])

    def kill(self, program: str) -> int:
        """kill -9, and waits until the supervisor has started another; the pid of that one."""
        killed = self.pid(program)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: self.pid(program) not in (0, killed), within_seconds=30)
        return self.pid(program)

    def stop(self, *programs: str) -> None:
        """Until `start`; all of them have ended when this returns."""
        self.supervisor.stop(list(programs))

    def start(self, *programs: str) -> None:
        for program in programs:
            self.supervisor.start_program(program)

    def is_healthy(self) -> bool:
        return self.gateway.health().get("status") == "OK"

    def wait_until_healthy(self, within_seconds: float = 60) -> None:
        eventually(self.is_healthy, within_seconds)

    def log(self, program: str) -> str:
        return self.layout.log_of(program).read_text(errors="replace")


@contextmanager
def running_stack(**settings: str) -> Iterator[TestStack]:
    """From `make up` to `make clean` of a stack in a temporary folder; `settings` go into its .env."""
    with prepared_stack(**settings) as stack:
        startup.up(stack)
        yield stack


@contextmanager
def prepared_stack(**settings: str) -> Iterator[TestStack]:
    """A stack that was not yet started."""
    clean_abandoned()
    home = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    layout = Layout(home=home, env_file=home / ".env")
    layout.make()
    processes.write_record(home, OWNER, os.getpid())
    wanted = {"GATEWAY_PORT": str(ports.some_free(set()))} | settings
    layout.env_file.write_text("".join(f"{name}={value}\n" for name, value in wanted.items()))
    stack = TestStack(layout)
    try:
        yield stack
    finally:
        TestStack(layout).clean()


def clean_abandoned() -> None:
    """Removes the stacks of test runs that were killed."""
    for home in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = home / OWNER
        if home.stat().st_uid != os.getuid() or not owner.exists():
            continue
        pid, _, started = owner.read_text().partition(" ")
        if not processes.is_alive(processes.Record(OWNER, int(pid), float(started))):
            TestStack(Layout(home=home.resolve(), env_file=home / ".env")).clean()
