"""A running stack, whichever way it runs: what a journey asks of it and does to it."""

import os
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pika
import pika.exceptions
import psutil
import psycopg2

from quintet_local.gateway import fetch_health
from quintet_local.testing import TestStack, running_stack
from quintet_testing.waiting import eventually

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND_SECONDS = 120
# Docker waits before it starts a container again, longer each time the container lived for less than ten seconds.
STARTED_AGAIN_SECONDS = 60
_MOVES_SECONDS, _STANDS_SECONDS = 0.1, 0.4


def environment_for(home: Path) -> dict[str, str]:
    """Of a command for the stack in that folder: no choice of the developer's for his own stack counts."""
    theirs = {name: value for name, value in os.environ.items() if name not in ("COMPOSE_PROJECT_NAME", "YES")}
    return theirs | {"STACK_DIR": str(home)}


class Running(ABC):
    """A program is `sequence-web`, `event-worker`, `postgres`, `redis`, `rabbitmq` or `gateway` in both ways to run."""

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
        """The administrator's."""

    @property
    @abstractmethod
    def programs(self) -> list[str]: ...

    @abstractmethod
    def gunicorn(self, program: str) -> psutil.Process:
        """The master of a web program."""

    @abstractmethod
    def kill(self, program: str) -> None:
        """kill -9; returns once another one has been started in its place."""

    @abstractmethod
    def crash(self, program: str) -> None:
        """kill -9, and started again at once, however often: an engine by itself waits longer each time."""

    @abstractmethod
    def stop(self, program: str) -> None:
        """Until `start`; it has ended when this returns."""

    @abstractmethod
    def start(self, program: str) -> None: ...

    @abstractmethod
    def processes(self, program: str) -> list[psutil.Process]:
        """All of a program that runs, its first one first."""

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

    def freeze(self, program: str) -> None:
        """All of its processes stand still until `thaw`."""
        for process in self.processes(program):
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def thaw(self, program: str) -> None:
        for process in self.processes(program):
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def kill_a_gunicorn_worker(self, program: str, random: Random) -> None:
        """One of several: the others go on. A master that was just started has none yet."""
        eventually(lambda: len(self.gunicorn(program).children()) > 1, STARTED_AGAIN_SECONDS)
        random.choice(self.gunicorn(program).children()).kill()

    def kill_gunicorn(self, program: str) -> None:
        """The master; returns once there is another one, and the workers of the old one answer no more."""
        killed = self.gunicorn(program)
        workers = killed.children()
        killed.kill()
        eventually(lambda: self.gunicorn(program).pid != killed.pid, STARTED_AGAIN_SECONDS)
        eventually(lambda: not any(worker.is_running() for worker in workers))

    @contextmanager
    def slowed(self, program: str) -> Iterator[None]:
        """It moves for a moment now and then, as on a machine that has much else to do."""
        leaving = threading.Event()

        def pulse() -> None:
            while not leaving.wait(_MOVES_SECONDS):
                self.freeze(program)
                leaving.wait(_STANDS_SECONDS)
                self.thaw(program)

        with ThreadPoolExecutor(1) as thread:
            pulsing = thread.submit(pulse)
            try:
                yield
            finally:
                leaving.set()
            pulsing.result()

    def command(self, *words: str, **environment: str) -> str:
        """As the Makefile calls it."""
        done = subprocess.run(
            [sys.executable, str(CHECKOUT / "deploy" / self.kind), *words],
            env=environment_for(self.home) | environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def add_user(self, name: str, role: str) -> str:
        """As `make user` does; the generated password."""
        return self.command("user", name, role).rsplit("password: ", 1)[1].split()[0]

    def remove_user(self, name: str) -> None:
        self.command("user-remove", name)

    def is_healthy(self) -> bool:
        return fetch_health(self.settings).get("status") == "OK"

    def wait_until_healthy(self, within_seconds: float = 60) -> None:
        eventually(self.is_healthy, within_seconds)

    def database_answers(self) -> bool:
        try:
            psycopg2.connect(self.database_url, connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def broker_answers(self) -> bool:
        try:
            pika.BlockingConnection(pika.URLParameters(self.amqp_url)).close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True


class Local(Running):
    """Programs on this machine, kept running by supervisor."""

    kind = "local"

    def __init__(self, stack: TestStack) -> None:
        self._stack = stack
        self.home = stack.layout.home

    @property
    def settings(self) -> Mapping[str, str]:
        return self._stack.settings

    @property
    def amqp_url(self) -> str:
        return self._stack.amqp_url

    @property
    def database_url(self) -> str:
        return self._stack.admin_database_url

    @property
    def programs(self) -> list[str]:
        return [
            program.name.replace("nginx", "gateway").replace("valkey", "redis") for program in self._stack.programs()
        ]

    def gunicorn(self, program: str) -> psutil.Process:
        return psutil.Process(self._stack.pid(program))

    def kill(self, program: str) -> None:
        self._stack.kill(_local(program))

    def crash(self, program: str) -> None:
        self.kill(program)

    def stop(self, program: str) -> None:
        self._stack.stop(_local(program))

    def start(self, program: str) -> None:
        self._stack.start(_local(program))

    def log(self, program: str) -> str:
        return self._stack.log(_local(program))

    def processes(self, program: str) -> list[psutil.Process]:
        first = psutil.Process(self._stack.pid(_local(program)))
        return [first, *first.children(recursive=True)]

    @contextmanager
    def one_more(self, program: str, **settings: str) -> Iterator[None]:
        """A process of our own beside it, or in its place where it was stopped; told more than the others."""
        known = next(each for each in self._stack.programs() if each.name == program)
        with self._stack.layout.log_of(program).open("ab") as log:
            process = subprocess.Popen(
                known.command, env={**known.environment, "LANG": "C.UTF-8", **settings}, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(COMMAND_SECONDS)


def _local(program: str) -> str:
    return {"gateway": "nginx", "redis": "valkey"}.get(program, program)


@contextmanager
def local_stack() -> Iterator[Running]:
    with running_stack(RATE_LIMITS="off") as stack:
        yield Local(stack)
