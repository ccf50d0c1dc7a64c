"""A stack in a Docker swarm of one machine, with its own folder and port; the swarm is left after the tests."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quintet_e2e.compose import IMAGE_TAG, connect_engine, require_base_images, require_root
from quintet_e2e.stacks import CHECKOUT, environment_for
from quintet_local import envfile, ports
from quintet_local.gateway import fetch_health
from quintet_testing.waiting import eventually

FOLDER_PREFIX = "quintet-swarm-tests-"
# All programs start concurrently, and a job is repeated until Postgres is up.
START_SECONDS = 600
REPLICAS = {"sequence-web": 2}


class SwarmStack:
    """The part of a running stack that clients and this test use."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.name = home.name
        self.settings = envfile.load(home / ".env")
        self.url = f"http://127.0.0.1:{self.settings['GATEWAY_PORT']}"
        self.user, self.password = self.settings["ADMIN_USER"], self.settings["ADMIN_PASSWORD"]

    def is_healthy(self) -> bool:
        return fetch_health(self.settings).get("status") == "OK"

    def running_tasks(self, program: str) -> dict[str, int]:
        """Return the process ID of each container of the program that is healthy, by the ID of the container."""
        label = f"label=com.docker.swarm.service.name={self.name}_{program}"
        ids = docker("ps", "--quiet", "--no-trunc", "--filter", label, "--filter", "health=healthy").split()
        template = "{{.Id}} {{.State.Pid}}"
        lines = docker("inspect", "--format", template, *ids).splitlines() if ids else []
        return {container: int(pid) for container, pid in (line.split() for line in lines)}

    def kill_task(self, program: str) -> None:
        """Kill the processes of one task as a crash would, and wait until the swarm has replaced it."""
        tasks = self.running_tasks(program)
        container, pid = next(iter(tasks.items()))
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.is_replaced(program, {container}, len(tasks)), START_SECONDS)

    def replace_tasks(self, program: str) -> None:
        """Replace all tasks one after another, as a new image would."""
        tasks = self.running_tasks(program)
        docker("service", "update", "--force", "--detach", f"{self.name}_{program}")
        eventually(lambda: self.is_replaced(program, set(tasks), len(tasks)), START_SECONDS)

    def is_replaced(self, program: str, containers: set[str], count: int) -> bool:
        running = set(self.running_tasks(program))
        return len(running) == count and not running & containers


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


@contextmanager
def swarm_stack() -> Iterator[SwarmStack]:
    require_root()
    engine = connect_engine()
    require_base_images(engine)
    engine.close()
    home = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX)).resolve()
    port = ports.find_free_port(set())
    (home / ".env").write_text(f"GATEWAY_PORT={port}\nRATE_LIMITS=off\nQUINTET_TAG={IMAGE_TAG}\n")
    try:
        file = home / "stack.json"
        file.write_text(generate(home, "all"))
        build()
        with joined_swarm():
            try:
                docker("stack", "deploy", "--detach=true", "--resolve-image", "never", "-c", str(file), home.name)
                stack = SwarmStack(home)
                eventually(stack.is_healthy, START_SECONDS)
                eventually(lambda: len(stack.running_tasks("sequence-web")) == REPLICAS["sequence-web"], START_SECONDS)
                yield stack
            finally:
                remove(home.name)
    finally:
        shutil.rmtree(home)


def generate(home: Path, step: str) -> str:
    replicas = [f"{program}={count}" for program, count in REPLICAS.items()]
    command = [sys.executable, str(CHECKOUT / "deploy" / "compose"), "swarm-stack", step, *replicas]
    environment = environment_for(home)
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def build() -> None:
    variables = {"COMPOSE_PROJECT_NAME": "quintet-swarm-tests", "STACK_ID": "none", "QUINTET_TAG": IMAGE_TAG}
    command = ["docker", "compose", "--project-directory", str(CHECKOUT), "build", "--quiet"]
    subprocess.run(command, env=os.environ | variables, check=True)


@contextmanager
def joined_swarm() -> Iterator[None]:
    """Create a swarm of this machine, and label its node for data. Skip if the engine is part of a swarm already."""
    if json.loads(docker("info", "--format", "{{json .Swarm}}"))["LocalNodeState"] != "inactive":
        pytest.skip("the Docker engine is already part of a swarm")
    docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    try:
        node = docker("info", "--format", "{{.Swarm.NodeID}}").strip()
        docker("node", "update", "--label-add", "quintet=data", node)
        yield
    finally:
        docker("swarm", "leave", "--force")


def remove(name: str) -> None:
    """Remove the stack and its volumes, which the engine keeps until the containers have ended."""
    label = f"com.docker.stack.namespace={name}"
    docker("stack", "rm", name)
    eventually(lambda: not docker("ps", "--all", "--quiet", "--filter", f"label={label}"), START_SECONDS)
    volumes = docker("volume", "ls", "--quiet", "--filter", f"label={label}").split()
    if volumes:
        docker("volume", "rm", *volumes)
