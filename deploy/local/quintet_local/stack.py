"""One stack: its parts, and what can be asked of it while it runs or does not."""

import os
import shutil
import subprocess
from contextlib import AbstractContextManager
from functools import cached_property
from itertools import groupby
from pathlib import Path

from quintet_local import envfile, gateway, locking, orphans, ports, postgres, rabbitmq, services, valkey
from quintet_local.layout import FILES_FOR_CONTAINERS, MARKER, Layout
from quintet_local.progress import StackError, say
from quintet_local.supervise import Program, Supervisor


class Stack:
    """The parts of one stack. Settings and ports are read when first needed, so make them before."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.supervisor = Supervisor(layout)
        self.words = services.discover(layout.checkout)

    @cached_property
    def settings(self) -> dict[str, str]:
        return envfile.load_existing(self.layout.env_file)

    @cached_property
    def ports(self) -> dict[str, int]:
        return ports.load(self.layout.ports_file)

    def choose_ports(self) -> None:
        """Anew where another program has taken one meanwhile. Only while nothing of the stack runs."""
        self.__dict__["ports"] = ports.choose(self.layout.ports_file)

    @cached_property
    def postgres(self) -> postgres.Postgres:
        return postgres.Postgres(self.layout, self.settings, self.ports["postgres"])

    @cached_property
    def broker(self) -> rabbitmq.RabbitMQ:
        return rabbitmq.RabbitMQ(self.layout, self.settings, self.ports, self.words)

    @cached_property
    def cache(self) -> valkey.Valkey:
        return valkey.Valkey(self.layout)

    @cached_property
    def gateway(self) -> gateway.Gateway:
        return gateway.Gateway(self.layout, self.settings, self.words)

    @cached_property
    def services(self) -> list[services.Service]:
        return [
            services.Service(word, self.layout, self.settings, self.postgres, self.broker, self.cache)
            for word in self.words
        ]

    def programs(self) -> list[Program]:
        infrastructure = [*self.broker.programs(), self.postgres.program(), self.cache.program()]
        own = [program for service in self.services for program in (service.worker, service.web)]
        return [*infrastructure, *own, *self.gateway.programs()]

    def users_tool(self) -> dict[str, str]:
        return self.gateway.users_tool()

    def reload_gateway(self) -> bool:
        """Return whether there is one that runs."""
        is_up = bool(self.supervisor.states().get(gateway.NAME, {}).get("pid"))
        if is_up:
            self.supervisor.signal(gateway.NAME, "HUP")
        return is_up

    def ask_worker(self, word: str, *arguments: str) -> None:
        worker = next(service for service in self.services if service.word == word).worker
        if subprocess.run([*worker.command[:-1], *arguments], env={**os.environ, **worker.environment}).returncode:
            raise StackError("see above")

    def alone(self) -> AbstractContextManager[None]:
        return locking.alone(self.layout.env_file.parent)

    def down(self) -> None:
        """Afterwards nothing of this stack runs, whatever state it was in. Its data stays."""
        if not self.layout.is_made():
            say("nothing to stop: no stack exists here")
            return
        self.layout.claim()
        with self.alone():
            self._stop()
        say("stopped; the data stays (`make clean` removes it)")

    def clean(self) -> None:
        """Stops it and removes its data, its settings and its secrets."""
        if self.layout.is_made():
            self.layout.claim()
        elif not self.layout.env_file.exists():
            return
        with self.alone():
            if self.layout.is_made():
                self._stop()
            left = self.remains()
            for path in [*left, self.layout.env_file.with_name(locking.NAME)]:
                remove(path)
        say(f"removed {', '.join(map(str, left))}")

    def remains(self) -> list[Path]:
        """Return what `clean` removes: the .env not while it names a stack in containers, which needs its passwords."""
        made = self._made() if self.layout.is_made() else []
        secrets = [] if envfile.names_containers(self.layout.env_file) else [self.layout.env_file]
        return [path for path in [*made, *secrets] if path.exists() and not {*made} & {*path.parents}]

    def _made(self) -> list[Path]:
        return list(dict.fromkeys([self.layout.run, self.layout.for_nobody, *self._home()]))

    def _home(self) -> list[Path]:
        """Return the home, or only what is in it beside the files of a stack in containers; the marker comes last."""
        home, env_file = self.layout.home, self.layout.env_file
        if env_file.parent != home or not envfile.names_containers(env_file):
            return [home]
        own = [path for path in home.iterdir() if path.name not in {*FILES_FOR_CONTAINERS, locking.NAME}]
        return sorted(own, key=lambda path: path.name == MARKER)

    def _stop(self) -> None:
        if self.supervisor.is_up():
            running = [name for name, state in self.supervisor.states().items() if state["pid"]]
            for _, group in groupby(sorted(running, key=stop_rank), key=stop_rank):
                names = list(group)
                say(f"stopping {', '.join(names)}")
                self.supervisor.stop(names)
            self.supervisor.shut_down()
        orphans.wait_for_end(self.layout.programs_lock)
        for socket in self.layout.run.glob("*.sock*"):
            socket.unlink()


def stop_rank(program: str) -> int:
    """The door is closed first, then those who use the servers stop, then the servers."""
    ranks = {gateway.NAME: 1, rabbitmq.NAME: 3}
    servers = dict.fromkeys((rabbitmq.EPMD, postgres.NAME, valkey.NAME), 4)
    return (ranks | servers).get(program, 2)


def remove(path: Path) -> None:
    """Remove a file or a folder. The lock in it goes last: without it another command does not wait."""
    if path.is_dir() and not path.is_symlink():
        for inside in (each for each in path.iterdir() if each.name != locking.NAME):
            if inside.is_dir() and not inside.is_symlink():
                shutil.rmtree(inside, ignore_errors=True)
            else:
                inside.unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
