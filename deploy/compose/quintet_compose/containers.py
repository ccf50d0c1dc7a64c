"""The containers of a stack, as `make upgrade` replaces them one after another."""

from collections import Counter
from collections.abc import Sequence

from quintet_compose.stack import Compose
from quintet_local.progress import StackError, log_progress

_STANDBY = "-standby"
_SERVERS = ("postgres", "rabbitmq", "redis")
_STANDBY_DIR = "/run/gateway/standby"
# A gateway of version 0.2.0 or earlier does not have this file.
_STANDBY_CONFIGURATION = "/gateway/conf/standby.conf"


class Containers:
    """Implements upgrade.Programs: a program is a service of docker-compose.yml, and may have several containers.

    Containers that have not changed are replaced only if `always` is set, for instance because a secret has changed.
    """

    def __init__(self, stack: Compose, *, always: bool = False) -> None:
        self._stack = stack
        self._options = ["--force-recreate"] if always else []

    @property
    def webs(self) -> Sequence[str]:
        return [*(f"{service}-web" for service in self._stack.service_names), "console"]

    def configure(self) -> None:
        self._stack.create_files()

    def prepare(self) -> None:
        log_progress("building the images that have changed")
        self._stack.run("build", "--quiet")
        try:
            self._stack.capture("exec", "-T", "gateway", "test", "-e", _STANDBY_CONFIGURATION)
        except StackError:
            log_progress("replacing the gateway, whose version has no standbys: connections are refused meanwhile")
            self._replace("gateway")

    def migrate(self) -> None:
        self._replace(*_SERVERS)
        for program in ("roles", *(f"{service}-migrate" for service in self._stack.service_names)):
            self._stack.run("run", "--rm", "--no-deps", "-T", program)

    def replace_workers(self, services: Sequence[str]) -> None:
        self._replace(*(f"{service}-worker" for service in services))

    def standbys(self) -> Sequence[str]:
        names = [name.removesuffix(_STANDBY) for name in self._counts() if name.endswith(_STANDBY)]
        return [web for web in self.webs if web in names]

    def selected_standbys(self) -> Sequence[str]:
        return self._in_gateway(f"mkdir -p {_STANDBY_DIR} && ls {_STANDBY_DIR}").split()

    def start_standby(self, web: str) -> None:
        # Without its dependencies: `roles` and the migrations, which need the password that is current in Postgres.
        self._replace(f"{web}{_STANDBY}", options=["--no-deps"])

    def select(self, web: str, *, standby: bool) -> None:
        file = f"{_STANDBY_DIR}/{web}"
        script = f"mkdir -p {_STANDBY_DIR} && touch {file}" if standby else f"rm -f {file}"
        self._in_gateway(script)

    def replace_web(self, web: str) -> None:
        self._replace(web)

    def remove_standby(self, web: str) -> None:
        self._stack.capture("rm", "--stop", "--force", f"{web}{_STANDBY}")

    def finish(self) -> None:
        self._stack.run("up", "--detach", "--remove-orphans", *self._scale(self._counts()))
        self._stack.wait_until_healthy()

    def _in_gateway(self, script: str) -> str:
        return self._stack.capture("exec", "-T", "gateway", "sh", "-c", script)

    def _replace(self, *programs: str, options: Sequence[str] = ()) -> None:
        """Replace the containers that have changed, and wait until the new ones are healthy. Keep their number."""
        # With --no-deps, Compose stores another description of a container, and would replace it again later.
        self._stack.run("up", "--detach", "--wait", *options, *self._options, *self._scale(programs), *programs)

    def _scale(self, programs: Sequence[str] | Counter[str]) -> list[str]:
        counts = self._counts()
        return [part for name in programs if counts[name] > 1 for part in ("--scale", f"{name}={counts[name]}")]

    def _counts(self) -> Counter[str]:
        """Return how many containers of each program exist, running or not."""
        return Counter(self._stack.capture("ps", "--all", "--format", "{{.Service}}").split())
