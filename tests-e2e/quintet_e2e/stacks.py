"""A running stack in either deployment mode: its addresses, its state, and faults to inject."""

import os
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from urllib.parse import quote

import pika
import pika.exceptions
import psutil
import psycopg2
import pytest

from quintet_local.gateway import fetch_health
from quintet_local.testing import TestStack, running_stack
from quintet_testing.waiting import eventually

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND_SECONDS = 600
# Docker doubles the delay before a restart each time a container has run for less than ten seconds.
RESTART_SECONDS = 120
# For journeys whose result does not depend on how the stack is run: those of the clients and the console, which use its
# URL, and those that kill or freeze single programs of a service.
ON_ONE_STACK = pytest.mark.parametrize("stack", ["local"], indirect=True)
# For journeys that take minutes: with containers in `make test-long`, on both stacks in `make test-all`.
MAINLY_WITH_CONTAINERS = pytest.mark.parametrize(
    "stack",
    [pytest.param("local", marks=pytest.mark.extended), pytest.param("compose", marks=pytest.mark.slow)],
    indirect=True,
)
# For journeys that must also succeed with three replicas of each web and worker.
ALSO_ON_REPLICAS = pytest.mark.parametrize(
    "stack",
    ["local", *(pytest.param(name, marks=pytest.mark.slow) for name in ("compose", "replicas"))],
    indirect=True,
)
_RUNNING_SECONDS, _FROZEN_SECONDS = 0.1, 0.4


def environment_for(home: Path) -> dict[str, str]:
    """Return the environment of a command for the stack in this folder, without the developer's own settings."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("COMPOSE_PROJECT_NAME", "YES")}
    return inherited | {"STACK_DIR": str(home)}


class RunningStack(ABC):
    """A running stack, whose programs have the same names in both deployment modes.

    They are `postgres`, `redis`, `rabbitmq`, `gateway`, and for each service `<service>-web` and `<service>-worker`.
    """

    kind: str
    home: Path

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, str]: ...

    @property
    @abstractmethod
    def amqp_url(self) -> str: ...

    @property
    @abstractmethod
    def database_url(self) -> str:
        """The URL for the administrator's role."""

    @abstractmethod
    def monitoring_url(self, program: str) -> str:
        """Return the URL of `/livez` and `/metrics` of a web or a worker, which the gateway's port does not serve."""

    @property
    @abstractmethod
    def programs(self) -> list[str]: ...

    @abstractmethod
    def gunicorn_master(self, program: str) -> psutil.Process:
        """Return the master process of a web program."""

    @abstractmethod
    def kill(self, program: str) -> None:
        """Send SIGKILL and wait until the program has been restarted."""

    @abstractmethod
    def crash(self, program: str) -> None:
        """Send SIGKILL and restart the program immediately, without the increasing delay of a container engine."""

    @abstractmethod
    def stop(self, program: str) -> None:
        """Stop the program, and wait until it has ended. It does not run again before `start`."""

    @abstractmethod
    def start(self, program: str) -> None: ...

    @abstractmethod
    def kill_everything(self) -> None:
        """Send SIGKILL to all programs, as if the machine had crashed, and wait until all have been restarted."""

    @abstractmethod
    def rabbitmqctl(self, *arguments: str) -> None: ...

    @abstractmethod
    def processes(self, program: str) -> list[psutil.Process]:
        """Return all processes of a running program, beginning with the one that started the others."""

    @abstractmethod
    def log(self, program: str) -> str: ...

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings['GATEWAY_PORT']}"

    @property
    def user(self) -> str:
        return self.settings["ADMIN_USER"]

    @property
    def password(self) -> str:
        return self.settings["ADMIN_PASSWORD"]

    def client_url(self, user: str | None = None, password: str | None = None) -> str:
        """Return the URL with the credentials of a user, by default the administrator."""
        host = self.url.removeprefix("http://")
        return f"http://{quote(user or self.user, safe='')}:{quote(password or self.password, safe='')}@{host}"

    def freeze(self, program: str) -> None:
        """Suspend all processes of the program until `thaw`."""
        for process in self.processes(program):
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def thaw(self, program: str) -> None:
        for process in self.processes(program):
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def kill_gunicorn_worker(self, program: str, random: Random) -> None:
        """Kill one worker process while others continue: wait until the master has started several."""
        eventually(lambda: len(self.gunicorn_master(program).children()) > 1, RESTART_SECONDS)
        random.choice(self.gunicorn_master(program).children()).kill()

    def kill_gunicorn_master(self, program: str) -> None:
        """Kill the master and wait until a new one runs and the workers of the old one have ended."""
        old_master = self.gunicorn_master(program)
        workers = old_master.children()
        old_master.kill()
        eventually(lambda: self.gunicorn_master(program).pid != old_master.pid, RESTART_SECONDS)
        eventually(lambda: not any(worker.is_running() for worker in workers))

    @contextmanager
    def slowed(self, program: str) -> Iterator[None]:
        """Freeze the program most of the time, as on an overloaded machine."""
        stop_event = threading.Event()

        def freeze_repeatedly() -> None:
            while not stop_event.wait(_RUNNING_SECONDS):
                self.freeze(program)
                stop_event.wait(_FROZEN_SECONDS)
                self.thaw(program)

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(freeze_repeatedly)
            try:
                yield
            finally:
                stop_event.set()
            future.result()

    def run_command(self, *arguments: str, **environment: str) -> str:
        """Run a command of `deploy`, as the Makefile does, and return its output."""
        result = subprocess.run(
            [sys.executable, str(CHECKOUT / "deploy" / self.kind), *arguments],
            env=environment_for(self.home) | environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        if result.returncode:
            raise RuntimeError(f"{' '.join(arguments)}:\n{result.stdout}{result.stderr}")
        return result.stdout

    def add_user(self, name: str, role: str) -> str:
        """Add a user, as `make user` does, and return the generated password."""
        return self.run_command("user", name, role).rsplit("password: ", 1)[1].split()[0]

    def remove_user(self, name: str) -> None:
        self.run_command("user-remove", name)

    @abstractmethod
    def reload_settings(self) -> None:
        """Read .env again after a command has changed it."""

    def is_healthy(self) -> bool:
        return fetch_health(self.settings).get("status") == "OK"

    def wait_until_healthy(self, within_seconds: float = 180) -> None:
        eventually(self.is_healthy, within_seconds)

    def is_database_reachable(self) -> bool:
        try:
            psycopg2.connect(self.database_url, connect_timeout=10).close()
        except psycopg2.OperationalError:
            return False
        return True

    def is_broker_reachable(self) -> bool:
        try:
            pika.BlockingConnection(pika.URLParameters(self.amqp_url)).close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True


class LocalStack(RunningStack):
    """A stack without containers, whose programs supervisor restarts."""

    kind = "local"

    def __init__(self, stack: TestStack) -> None:
        self._stack = stack
        self.home = stack.layout.home

    @property
    def settings(self) -> Mapping[str, str]:
        return self._stack.settings

    def reload_settings(self) -> None:
        self._stack = self._stack.reopened()

    @property
    def amqp_url(self) -> str:
        return self._stack.amqp_url

    @property
    def database_url(self) -> str:
        return self._stack.admin_database_url

    def monitoring_url(self, program: str) -> str:
        return f"http://127.0.0.1:{self.settings['METRICS_PORT']}/{program}"

    @property
    def programs(self) -> list[str]:
        return [
            program.name.replace("nginx", "gateway").replace("valkey", "redis") for program in self._stack.programs()
        ]

    def gunicorn_master(self, program: str) -> psutil.Process:
        return psutil.Process(self._stack.pid(program))

    def kill(self, program: str) -> None:
        self._stack.kill(_local_name(program))

    def crash(self, program: str) -> None:
        self.kill(program)

    def kill_everything(self) -> None:
        killed_pids = self._stack.pids()
        for pid in filter(None, killed_pids.values()):
            os.kill(pid, signal.SIGKILL)
        for program, killed_pid in killed_pids.items():
            eventually(lambda program=program, pid=killed_pid: self._stack.pid(program) not in (0, pid))

    def rabbitmqctl(self, *arguments: str) -> None:
        self._stack.broker.tool(*arguments).run()

    def stop(self, program: str) -> None:
        self._stack.stop(_local_name(program))

    def start(self, program: str) -> None:
        self._stack.start(_local_name(program))

    def log(self, program: str) -> str:
        return self._stack.log(_local_name(program))

    def processes(self, program: str) -> list[psutil.Process]:
        first = psutil.Process(self._stack.pid(_local_name(program)))
        return [first, *first.children(recursive=True)]

    @contextmanager
    def extra_process(self, program: str, **settings: str) -> Iterator[None]:
        """Run an additional process of the program, with additional settings, until the block ends."""
        original = next(candidate for candidate in self._stack.programs() if candidate.name == program)
        with self._stack.layout.log_of(program).open("ab") as log:
            process = subprocess.Popen(
                original.command, env={**original.environment, "LANG": "C.UTF-8", **settings}, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(COMMAND_SECONDS)


def _local_name(program: str) -> str:
    return {"gateway": "nginx", "redis": "valkey"}.get(program, program)


@contextmanager
def local_stack() -> Iterator[RunningStack]:
    with running_stack(RATE_LIMITS="off") as stack:
        yield LocalStack(stack)
