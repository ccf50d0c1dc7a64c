"""A stack in containers with its own folder, project and port, removed after the tests."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
import docker.errors
import psutil
import pytest
import yaml

from quintet_e2e.stacks import CHECKOUT, RESTART_SECONDS, RunningStack, environment_for
from quintet_local import envfile, ports
from quintet_local.testing import abandoned_folders, ignore_environment, owner_lock
from quintet_testing.waiting import eventually

FOLDER_PREFIX = "quintet-compose-tests-"
# Test stacks of one checkout share their images, so only the first one builds them.
IMAGE_TAG = "tests-" + hashlib.sha256(os.fsencode(CHECKOUT)).hexdigest()[:8]
UP_SECONDS = 900
# Override files for users, and those that only tests need.
DEPLOY_FOLDER = CHECKOUT / "deploy" / "compose"
TOPOLOGIES = Path(__file__).parent / "topologies"
ENGINE_TIMEOUT_SECONDS = 20
PROBE_SECONDS = 5


class ComposeStack(RunningStack):
    kind = "compose"

    def __init__(self, home: Path, engine: Any) -> None:
        self.home = home
        self._engine = engine

    @cached_property
    def settings(self) -> Mapping[str, str]:
        return envfile.load(self.home / ".env")

    def reload_settings(self) -> None:
        self.__dict__.pop("settings", None)

    @property
    def amqp_url(self) -> str:
        return f"amqp://quintet:{self.settings['RABBITMQ_PASSWORD']}@{self._address('rabbitmq')}:5672/quintet"

    def postgres_url(self, program: str) -> str:
        """Return the URL for the administrator's role on a server of Postgres that accepts connections by network."""
        return f"postgresql://admin:{self.settings['POSTGRES_PASSWORD']}@{self._address(program)}/quintet"

    def flush_cache(self) -> None:
        command = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" redis-cli flushall'
        code, output = self._container("redis").exec_run(["sh", "-c", command])
        assert code == 0, output

    def is_cache_password(self, password: str) -> bool:
        redis = self._container("redis")
        output: bytes = redis.exec_run(["redis-cli", "ping"], environment={"REDISCLI_AUTH": password}).output
        return output.split()[-1:] == [b"PONG"]

    @property
    def database_url(self) -> str:
        # Postgres has no network; its socket is reachable through the file system of its process.
        folder = Path("/proc", str(self._pid("postgres")), "root", "run", "postgresql")
        return f"postgresql://admin:{self.settings['POSTGRES_PASSWORD']}@/quintet?host={folder}"

    def monitoring_url(self, program: str) -> str:
        return f"http://{self._address(program)}:{9100 if program.endswith('-worker') else 8000}"

    @property
    def programs(self) -> list[str]:
        return sorted(self._containers())

    def gunicorn_master(self, program: str) -> psutil.Process:
        # The first process of the container is a small init.
        return psutil.Process(self._pid(program)).children()[0]

    def kill(self, program: str) -> None:
        """Kill by the process ID on the host: after `docker kill`, the restart policy does not apply."""
        killed_pid = self._pid(program)
        os.kill(killed_pid, signal.SIGKILL)
        eventually(lambda: self._pid(program) not in (0, killed_pid), RESTART_SECONDS)

    def crash(self, program: str) -> None:
        container = self._container(program)
        container.kill()
        container.start()

    def kill_everything(self) -> None:
        killed_pids = {name: container.attrs["State"]["Pid"] for name, container in self._containers().items()}
        for pid in filter(None, killed_pids.values()):
            os.kill(pid, signal.SIGKILL)
        for program, killed_pid in killed_pids.items():
            # Those that only prepare the others have ended.
            if killed_pid:
                eventually(lambda program=program, pid=killed_pid: self._pid(program) not in (0, pid), RESTART_SECONDS)

    def rabbitmqctl(self, *arguments: str) -> None:
        self._execute("rabbitmq", "rabbitmqctl", *arguments)

    def exhaust_memory(self, program: str) -> None:
        """Fill the container's memory with a file until the kernel kills its processes, and wait for the restart."""
        full_pid = self._pid(program)

        def is_restarted() -> bool:
            if self._pid(program) == full_pid:
                self._execute(program, "dd", "if=/dev/zero", "of=/tmp/memory", "bs=1M")
            return self._pid(program) not in (0, full_pid)

        eventually(is_restarted, RESTART_SECONDS)

    def volume(self, program: str, folder: str) -> Path:
        """Return where the engine stores the volume that the container has mounted at this folder."""
        mounts = self._container(program).attrs["Mounts"]
        return next(Path(mount["Source"]) for mount in mounts if mount["Destination"] == folder)

    def _execute(self, program: str, *command: str) -> int:
        return int(self._container(program).exec_run(list(command)).exit_code)

    def halt(self, program: str) -> None:
        """Kill the program. It does not run again before `start`."""
        with suppress(docker.errors.APIError):  # a busy engine reports an error if the exit takes long
            self._container(program).kill()
        eventually(lambda: not self._pid(program), RESTART_SECONDS)

    def stop(self, program: str) -> None:
        for container in self.containers(program):
            container.stop(timeout=60)

    def start(self, program: str) -> None:
        for container in self.containers(program):
            container.start()

    @contextmanager
    def disconnected(self, program: str) -> Iterator[None]:
        """Disconnect the container from its networks: packets are lost, and no connection is closed."""
        container = self._container(program)
        settings = container.attrs["NetworkSettings"]["Networks"]
        networks = {name: self._engine.networks.get(name) for name in settings}
        for network in networks.values():
            network.disconnect(container)
        try:
            yield
        finally:
            for name, network in networks.items():
                network.connect(container, aliases=settings[name]["Aliases"])

    @contextmanager
    def losing_packets(self, program: str, share: float) -> Iterator[None]:
        """Drop this share of the packets that the container receives, at random."""
        iptables = ["nsenter", "--target", str(self._pid(program)), "--net", "iptables", "--wait"]
        rule = ["INPUT", "-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP"]
        subprocess.run([*iptables, "--append", *rule], check=True, capture_output=True)
        try:
            yield
        finally:
            subprocess.run([*iptables, "--delete", *rule], check=True, capture_output=True)

    def processes(self, program: str) -> list[psutil.Process]:
        firsts = [psutil.Process(container.attrs["State"]["Pid"]) for container in self.containers(program)]
        return [process for first in firsts for process in (first, *first.children(recursive=True))]

    def log(self, program: str) -> str:
        output = b"".join(container.logs() for container in self.containers(program))
        return output.decode(errors="replace")

    def containers(self, program: str) -> list[Any]:
        """Return the containers of all replicas of the program, also of those that are stopped."""
        # Listing the containers of all programs takes too long for a kill at a certain moment.
        labels = [f"com.docker.compose.project={self._project}", f"com.docker.compose.service={program}"]
        containers: list[Any] = self._engine.containers.list(all=True, filters={"label": labels})
        return containers

    def inspect_containers(self) -> list[Any]:
        """Return the output of `docker inspect` for each container."""
        return [container.attrs for container in self._containers().values()]

    def reachable_from(self, program: str, port_by_program: Mapping[str, int]) -> set[str]:
        """Return the programs whose port accepts a connection from this container at any of their addresses."""
        containers = self._containers()
        addresses = [
            f"{name} {network['IPAddress']} {port}"
            for name, port in port_by_program.items()
            for network in containers[name].attrs["NetworkSettings"]["Networks"].values()
            if network["IPAddress"]
        ]
        probe = f'timeout {PROBE_SECONDS} bash -c "exec 3<>/dev/tcp/$address/$port" 2>&- && echo "$name"'
        script = f"while read -r name address port; do ({probe}) & done; wait"
        result = subprocess.run(
            ["docker", "exec", "--interactive", containers[program].id, "bash", "-c", script],
            input="\n".join(addresses) + "\n",
            capture_output=True,
            text=True,
        )
        return set(result.stdout.split())

    def _containers(self) -> dict[str, Any]:
        label = f"com.docker.compose.project={self._project}"
        containers = self._engine.containers.list(all=True, filters={"label": label})
        return {container.labels["com.docker.compose.service"]: container for container in containers}

    def _container(self, program: str) -> Any:
        return self.containers(program)[0]

    @cached_property
    def _project(self) -> str:
        return self.settings["COMPOSE_PROJECT_NAME"]

    def _pid(self, program: str) -> int:
        return int(self._container(program).attrs["State"]["Pid"])

    def _address(self, program: str) -> str:
        networks = self._container(program).attrs["NetworkSettings"]["Networks"]
        address: str = next(iter(networks.values()))["IPAddress"]
        return address


@contextmanager
def compose_stack(*override_files: Path, **settings: str) -> Iterator[RunningStack]:
    """Yield a stack in a temporary folder, from `make up` to `make clean`. Skip if a requirement is not met.

    The override files change docker-compose.yml, and the settings are additional lines of .env.
    """
    ignore_environment()
    engine = connect_engine()
    try:
        require_root()
        require_base_images(engine)
        for home in abandoned_folders(FOLDER_PREFIX):
            _clean(home)
        home = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX)).resolve()
        _write_settings(home, override_files, settings)
        with owner_lock(home):
            try:
                _run_compose(home, "up")
                yield ComposeStack(home, engine)
            finally:
                _clean(home)
    finally:
        engine.close()


def _write_settings(home: Path, override_files: Iterable[Path], settings: Mapping[str, str]) -> None:
    files = [CHECKOUT / "docker-compose.yml", *override_files]
    lines = {
        "GATEWAY_PORT": ports.find_free_port(set()),
        "RATE_LIMITS": "off",
        "QUINTET_TAG": IMAGE_TAG,
        "COMPOSE_FILE": os.pathsep.join(map(str, files)),
        **settings,
    }
    (home / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))


def connect_engine() -> Any:
    """Return a client of the engine that the `docker` command uses."""
    try:
        _docker("info")
        _docker("compose", "version")
        return docker.DockerClient(base_url=_docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}"))
    except FileNotFoundError:
        pytest.skip("Docker is not installed: command `docker` not found")
    except subprocess.SubprocessError as error:
        output = getattr(error, "stderr", None) or b""
        pytest.skip(f"the Docker engine does not respond: {error} {output.decode(errors='replace').strip()}")


def engine_responds() -> bool:
    try:
        _docker("info")
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _docker(*arguments: str) -> str:
    result = subprocess.run(["docker", *arguments], capture_output=True, check=True, timeout=ENGINE_TIMEOUT_SECONDS)
    return result.stdout.decode().strip()


def require_root() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can kill processes inside containers")


def require_base_images(engine: Any) -> None:
    for name in sorted(base_images()):
        try:
            engine.images.get(name)
        except docker.errors.ImageNotFound:
            try:
                engine.images.pull(name)
            except docker.errors.DockerException as error:
                pytest.skip(f"cannot pull image {name}: {error}")


def base_images() -> set[str]:
    """Return the images that `make up` needs: those that the Dockerfiles and docker-compose.yml name, or variables.

    The programs of a profile do not run in tests.
    """
    programs = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"].values()
    started_images = [program["image"] for program in programs if "profiles" not in program]
    text = "\n".join([*(file.read_text() for file in CHECKOUT.glob("*/Dockerfile")), *started_images])
    fixed = re.findall(r"^FROM ([a-z][\w./-]*:[\w.-]+)", text, re.MULTILINE)
    configurable = re.findall(r"\b([A-Z]+_IMAGE)(?:=|:-)([\w./-]+:[\w.-]+)", text)
    return {*fixed, *(os.environ.get(name) or default for name, default in configurable)}


def _clean(home: Path) -> None:
    _run_compose(home, "clean", "--yes")
    shutil.rmtree(home)


def _run_compose(home: Path, *arguments: str) -> None:
    result = subprocess.run(
        [sys.executable, str(CHECKOUT / "deploy" / "compose"), *arguments],
        env=environment_for(home),
        capture_output=True,
        text=True,
        timeout=UP_SECONDS,
    )
    if result.returncode:
        raise RuntimeError(f"{' '.join(arguments)}:\n{result.stdout[-4000:]}{result.stderr[-4000:]}")
