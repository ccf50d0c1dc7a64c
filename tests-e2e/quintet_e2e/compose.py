"""The stack in containers: own folder, own project, own port, nothing left behind."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
import docker.errors
import psutil
import pytest

from quintet_e2e.stacks import CHECKOUT, STARTED_AGAIN_SECONDS, Running, environment_for
from quintet_local import envfile, ports
from quintet_local.testing import abandoned_folders, owner_lock
from quintet_testing.waiting import eventually

PREFIX = "quintet-compose-tests-"
# All stacks of this checkout's tests share their images, so that the second one builds nothing.
IMAGES_TAG = "tests-" + hashlib.sha256(os.fsencode(CHECKOUT)).hexdigest()[:8]
UP_SECONDS = 900
ENGINE_ANSWERS_WITHIN = 20
PROBE_SECONDS = 5


class Compose(Running):
    kind = "compose"

    def __init__(self, home: Path, engine: Any) -> None:
        self.home = home
        self._engine = engine

    @cached_property
    def settings(self) -> Mapping[str, str]:
        return envfile.load(self.home / ".env")

    @property
    def amqp_url(self) -> str:
        return f"amqp://quintet:{self.settings['RABBITMQ_PASSWORD']}@{self._address('rabbitmq')}:5672/quintet"

    @property
    def database_url(self) -> str:
        # Postgres has no network; its socket can be reached through the file system of its process.
        folder = Path("/proc", str(self._pid("postgres")), "root", "run", "postgresql")
        return f"postgresql://admin:{self.settings['POSTGRES_PASSWORD']}@/quintet?host={folder}"

    @property
    def programs(self) -> list[str]:
        return sorted(self._containers())

    def gunicorn(self, program: str) -> psutil.Process:
        # The container's own first process is a small init.
        return psutil.Process(self._pid(program)).children()[0]

    def kill(self, program: str) -> None:
        """By the number on the host: `docker kill` counts as stopped by hand, and is not started again."""
        killed = self._pid(program)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: self._pid(program) not in (0, killed), STARTED_AGAIN_SECONDS)

    def crash(self, program: str) -> None:
        container = self._containers()[program]
        container.kill()
        container.start()

    def stop(self, program: str) -> None:
        self._containers()[program].stop(timeout=60)

    def start(self, program: str) -> None:
        self._containers()[program].start()

    @contextmanager
    def cut_off(self, program: str) -> Iterator[None]:
        """From all others: no packet comes or goes, and no connection is told that it is over."""
        container = self._containers()[program]
        places = container.attrs["NetworkSettings"]["Networks"]
        networks = {name: self._engine.networks.get(name) for name in places}
        for network in networks.values():
            network.disconnect(container)
        try:
            yield
        finally:
            for name, network in networks.items():
                network.connect(container, aliases=places[name]["Aliases"])

    def processes(self, program: str) -> list[psutil.Process]:
        first = psutil.Process(self._pid(program))
        return [first, *first.children(recursive=True)]

    def log(self, program: str) -> str:
        return self._containers()[program].logs().decode(errors="replace")

    def descriptions(self) -> list[Any]:
        """What `docker inspect` shows of each container."""
        return [container.attrs for container in self._containers().values()]

    def reached_from(self, program: str, ports: Mapping[str, int]) -> set[str]:
        """Those of the programs whose port takes a connection from inside that container, at any address they have."""
        containers = self._containers()
        places = [
            f"{name} {network['IPAddress']} {port}"
            for name, port in ports.items()
            for network in containers[name].attrs["NetworkSettings"]["Networks"].values()
            if network["IPAddress"]
        ]
        probe = f'timeout {PROBE_SECONDS} bash -c "exec 3<>/dev/tcp/$address/$port" 2>&- && echo "$name"'
        script = f"while read -r name address port; do ({probe}) & done; wait"
        done = subprocess.run(
            ["docker", "exec", "--interactive", containers[program].id, "bash", "-c", script],
            input="\n".join(places) + "\n",
            capture_output=True,
            text=True,
        )
        return set(done.stdout.split())

    def _containers(self) -> dict[str, Any]:
        label = f"com.docker.compose.project={self._project}"
        found = self._engine.containers.list(all=True, filters={"label": label})
        return {container.labels["com.docker.compose.service"]: container for container in found}

    @cached_property
    def _project(self) -> str:
        return self.settings["COMPOSE_PROJECT_NAME"]

    def _pid(self, program: str) -> int:
        return int(self._containers()[program].attrs["State"]["Pid"])

    def _address(self, program: str) -> str:
        networks = self._containers()[program].attrs["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"]


@contextmanager
def compose_stack() -> Iterator[Running]:
    """From `make up` to `make clean` of a stack in a temporary folder; skips where that cannot be."""
    engine = _engine()
    try:
        _need_root()
        _need_base_images(engine)
        for home in abandoned_folders(PREFIX):
            _clean(home)
        home = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        port = ports.find_free_port(set())
        (home / ".env").write_text(f"GATEWAY_PORT={port}\nRATE_LIMITS=off\nQUINTET_TAG={IMAGES_TAG}\n")
        with owner_lock(home):
            try:
                _deploy(home, "up")
                yield Compose(home, engine)
            finally:
                _clean(home)
    finally:
        engine.close()


def _engine() -> Any:
    """The one that `docker` itself would use."""
    try:
        _docker("info")
        _docker("compose", "version")
        return docker.DockerClient(base_url=_docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}"))
    except FileNotFoundError:
        pytest.skip("there is no Docker here: `docker` is not installed")
    except subprocess.SubprocessError as problem:
        said = getattr(problem, "stderr", None) or b""
        pytest.skip(f"no Docker engine answers: {problem} {said.decode(errors='replace').strip()}")


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, check=True, timeout=ENGINE_ANSWERS_WITHIN)
    return done.stdout.decode().strip()


def _need_root() -> None:
    if os.getuid() != 0:
        pytest.skip("processes inside containers can be killed by root only")


def _need_base_images(engine: Any) -> None:
    for name in sorted(base_images()):
        try:
            engine.images.get(name)
        except docker.errors.ImageNotFound:
            try:
                engine.images.pull(name)
            except docker.errors.DockerException as problem:
                pytest.skip(f"the image {name} is neither here nor to be had: {problem}")


def base_images() -> set[str]:
    """As the Dockerfiles, docker-compose.yml and the environment name them."""
    files = [*CHECKOUT.glob("*/Dockerfile"), CHECKOUT / "docker-compose.yml"]
    text = "\n".join(file.read_text() for file in files)
    plain = re.findall(r"^FROM ([a-z][\w./-]*:[\w.-]+)", text, re.MULTILINE)
    settable = re.findall(r"\b([A-Z]+_IMAGE)(?:=|:-)([\w./-]+:[\w.-]+)", text)
    return {*plain, *(os.environ.get(name) or usual for name, usual in settable)}


def _clean(home: Path) -> None:
    _deploy(home, "clean", "--yes")
    shutil.rmtree(home)


def _deploy(home: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "deploy" / "compose"), *words],
        env=environment_for(home),
        capture_output=True,
        text=True,
        timeout=UP_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
