"""The processes of a stack without containers, as `make upgrade` replaces them one after another."""

from collections.abc import Sequence

from quintet_local import gateway, ports, startup
from quintet_local.progress import StackError
from quintet_local.stack import Stack
from quintet_local.supervise import Program

_STANDBY = "-standby"


class Processes:
    """Implements upgrade.Programs. The standbys are programs of the supervisor during the upgrade only."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._supervisor = stack.supervisor

    @property
    def webs(self) -> Sequence[str]:
        return [*(service.web.name for service in self._stack.services), gateway.CONSOLE]

    def check_running(self) -> None:
        if not self._supervisor.is_up():
            raise StackError("the stack must be running: run `make up`, then try again")

    def configure(self) -> None:
        self.check_running()
        self._stack.layout.create_folders()
        startup.prepare_settings(self._stack)
        self._supervisor.configure([*self._stack.programs(), *self._standby_programs()])

    def prepare(self) -> None:
        self._stack.gateway.prepare()
        self._stack.reload_gateway()

    def migrate(self) -> None:
        servers = {program.name for program in self._stack.server_programs()}
        self._supervisor.reload_config(servers)
        startup.ensure_servers(self._stack)
        startup.migrate(self._stack)

    def replace_workers(self, services: Sequence[str]) -> None:
        workers = [f"{service}-worker" for service in services]
        self._supervisor.stop(workers)
        self._supervisor.reload_config(workers)
        startup.start_workers(self._stack)

    def standbys(self) -> Sequence[str]:
        states = self._supervisor.states()
        return [web for web in self.webs if f"{web}{_STANDBY}" in states]

    def selected_standbys(self) -> Sequence[str]:
        return self._stack.gateway.selected_standbys()

    def start_standby(self, web: str) -> None:
        self._supervisor.reload_config([f"{web}{_STANDBY}"])
        self._start(f"{web}{_STANDBY}")

    def select(self, web: str, *, standby: bool) -> None:
        self._stack.gateway.select(web, standby=standby)

    def replace_web(self, web: str) -> None:
        self._supervisor.stop([web])
        self._supervisor.reload_config([web])
        self._start(web)

    def remove_standby(self, web: str) -> None:
        self._supervisor.remove(f"{web}{_STANDBY}")

    def finish(self) -> None:
        self._supervisor.configure(self._stack.programs())
        self._supervisor.reload_config()
        startup.start_gateway(self._stack)

    def _start(self, program: str) -> None:
        self._supervisor.start_program(program)
        socket = self._stack.layout.socket(program.replace("-web", ""))
        startup.wait_for(self._stack, program, lambda: ports.responds_to_livez(socket))

    def _standby_programs(self) -> list[Program]:
        return [service.standby for service in self._stack.services] + [self._stack.gateway.console_standby()]
