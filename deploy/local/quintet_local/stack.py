"""One stack: its parts, and the operations that work whether or not it is running."""

import os
import shutil
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from functools import cached_property
from itertools import groupby
from pathlib import Path

from quintet_local import envfile, gateway, locking, orphans, ports, postgres, rabbitmq, services, settings, valkey
from quintet_local.layout import COMPOSE_FILES, MARKER, Layout
from quintet_local.progress import log_progress
from quintet_local.restore import IN_PROGRESS
from quintet_local.supervise import Program, Supervisor
from quintet_local.tools import Tool
from quintet_local.upgrade import ROTATING


class Stack:
    """The parts of one stack. Settings and ports are read on first use, so they must exist by then."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.supervisor = Supervisor(layout)
        self.service_names = services.discover(layout.checkout)

    @property
    def env_file(self) -> Path:
        return self.layout.env_file

    @cached_property
    def settings(self) -> dict[str, str]:
        return settings.load(self.layout.env_file, self.service_names)

    @cached_property
    def ports(self) -> dict[str, int]:
        return ports.load(self.layout.ports_file)

    def choose_ports(self) -> None:
        """Replace the ports that another program uses. Call this only while nothing of the stack is running."""
        self.__dict__["ports"] = ports.choose(self.layout.ports_file)

    @cached_property
    def postgres(self) -> postgres.Postgres:
        return postgres.Postgres(self.layout, self.settings, self.ports["postgres"])

    @cached_property
    def broker(self) -> rabbitmq.RabbitMQ:
        return rabbitmq.RabbitMQ(self.layout, self.settings, self.ports, self.service_names)

    @cached_property
    def cache(self) -> valkey.Valkey:
        return valkey.Valkey(self.layout)

    @cached_property
    def gateway(self) -> gateway.Gateway:
        return gateway.Gateway(self.layout, self.settings, self.service_names)

    @cached_property
    def services(self) -> list[services.Service]:
        return [
            services.Service(name, self.layout, self.settings, self.postgres, self.broker, self.cache)
            for name in self.service_names
        ]

    def server_programs(self) -> list[Program]:
        return [*self.broker.programs(), self.postgres.program(), self.cache.program()]

    def programs(self) -> list[Program]:
        service_programs = [program for service in self.services for program in (service.worker, service.web)]
        return [*self.server_programs(), *service_programs, *self.gateway.programs()]

    def users_environment(self) -> dict[str, str]:
        return self.gateway.users_environment()

    def reload_gateway(self) -> bool:
        """Reload the gateway, and return whether it is running."""
        is_up = bool(self.supervisor.states().get(gateway.NAME, {}).get("pid"))
        if is_up:
            self.supervisor.signal(gateway.NAME, "HUP")
        return is_up

    def reopened(self) -> "Stack":
        """Return the stack as the next command reads it, without cached settings."""
        return type(self)(self.layout)

    def update_secrets(self, rotated: Collection[str]) -> None:
        """Update the file of users that RabbitMQ reads when it is started."""
        self.broker.prepare()

    def set_cache_password(self, password: str) -> None:
        """Do nothing: Valkey has no password, but a socket that only its owner can use."""

    def exclusive_lock(self) -> AbstractContextManager[None]:
        return locking.exclusive_lock(self.layout.env_file.parent)

    def postgres_tool(self, program: str, *arguments: str) -> Tool:
        return self.postgres.tool(program, *arguments)

    def broker_tool(self, *arguments: str) -> Tool:
        return self.broker.tool(*arguments)

    def files_tool(self, script: str) -> Tool:
        folder = self.layout.data_dir("specstore")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Tool("tar", ["sh", "-c", f'cd "$0" && {{ {script}; }}', str(folder)], {"PATH": os.defpath})

    def stop_programs(self) -> None:
        """Stop everything but Postgres and RabbitMQ."""
        servers = (postgres.NAME, rabbitmq.NAME, rabbitmq.EPMD)
        self._stop_in_order(name for name in self.supervisor.states() if name not in servers)

    def skip_numbers(self, count: int) -> str:
        sequence = next(service for service in self.services if service.name == "sequence")
        sequence.migrate()
        return sequence.run("skip", str(count)).strip().splitlines()[-1]

    def down(self) -> None:
        """Stop all programs, regardless of the state of the stack. Its data is kept."""
        if not self.layout.exists():
            log_progress("nothing to stop: no stack exists here")
            return
        self.layout.check_owner()
        with self.exclusive_lock():
            self._stop()
        log_progress("stopped; the data is kept (`make clean` removes it)")

    def clean(self) -> None:
        """Stop the stack and remove its data, its settings and its secrets."""
        if self.layout.exists():
            self.layout.check_owner()
        elif not self.layout.env_file.exists():
            return
        with self.exclusive_lock():
            if self.layout.exists():
                self._stop()
            paths = self.removable_paths()
            for path in [*paths, *map(self.layout.env_file.with_name, (IN_PROGRESS, ROTATING, locking.NAME))]:
                remove(path)
        log_progress(f"removed {', '.join(map(str, paths))}")

    def removable_paths(self) -> list[Path]:
        """Return what `clean` removes; .env is kept while a stack in containers needs its passwords."""
        own_paths = self._own_paths() if self.layout.exists() else []
        secrets = [] if envfile.has_project_name(self.layout.env_file) else [self.layout.env_file]
        return [path for path in [*own_paths, *secrets] if path.exists() and not {*own_paths} & {*path.parents}]

    def _own_paths(self) -> list[Path]:
        return list(dict.fromkeys([self.layout.run, self.layout.nobody_dir, *self._home_paths()]))

    def _home_paths(self) -> list[Path]:
        """Return the home, or its contents without the files of a stack in containers; the marker comes last."""
        home, env_file = self.layout.home, self.layout.env_file
        if env_file.parent != home or not envfile.has_project_name(env_file):
            return [home]
        paths = [path for path in home.iterdir() if path.name not in {*COMPOSE_FILES, locking.NAME}]
        return sorted(paths, key=lambda path: path.name == MARKER)

    def _stop_in_order(self, programs: Iterable[str]) -> None:
        states = self.supervisor.states()
        running = [name for name in programs if states[name]["pid"]]
        for _, group in groupby(sorted(running, key=stop_rank), key=stop_rank):
            names = list(group)
            log_progress(f"stopping {', '.join(names)}")
            self.supervisor.stop(names)

    def _stop(self) -> None:
        if self.supervisor.is_up():
            self._stop_in_order(self.supervisor.states())
            self.supervisor.shut_down()
        orphans.wait_for_end(self.layout.programs_lock)
        for socket in self.layout.run.glob("*.sock*"):
            socket.unlink()


def stop_rank(program: str) -> int:
    """Return the order of stopping: the gateway first, then the services, then the servers that they use."""
    ranks = {gateway.NAME: 1, rabbitmq.NAME: 3}
    servers = dict.fromkeys((rabbitmq.EPMD, postgres.NAME, valkey.NAME), 4)
    return (ranks | servers).get(program, 2)


def remove(path: Path) -> None:
    """Remove a file or a folder. The lock in the folder is removed last, because other commands wait for it."""
    if path.is_dir() and not path.is_symlink():
        for entry in (entry for entry in path.iterdir() if entry.name != locking.NAME):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
