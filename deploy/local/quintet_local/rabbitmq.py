"""RabbitMQ and the Erlang port mapper it needs: private node, private cookie, loopback only."""

import logging
import shutil
from collections.abc import Mapping
from functools import cached_property

import pika
import pika.exceptions

from quintet_local import erlang, ports, processes
from quintet_local.layout import Layout
from quintet_local.progress import StackError, say
from quintet_local.supervise import Program

NAME = "rabbitmq"
EPMD = "epmd"
USER = VHOST = "quintet"
# The VM starts no port mapper of its own, as that one would outlive the stack, and does not busy-wait.
VM_ARGUMENTS = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
# A refused connection is an answer here, not an error to log.
logging.getLogger("pika").setLevel(logging.CRITICAL)
# What belongs to one stack; all else is in deploy/rabbitmq, for both ways to run.
CONFIGURATION = """\
default_vhost = {vhost}
default_user = {user}
default_pass = {password}
"""


class RabbitMQ:
    """The broker of one stack."""

    def __init__(self, layout: Layout, settings: Mapping[str, str], numbers: Mapping[str, int]) -> None:
        self.layout = layout
        self.password = settings["RABBITMQ_PASSWORD"]
        self.ports = numbers
        self.home = layout.home / NAME

    @cached_property
    def installed(self) -> erlang.Installed:
        return erlang.find(self.layout.venv)

    def programs(self) -> list[Program]:
        epmd = shutil.which(EPMD, path=self.installed.path) or EPMD
        environment = self._environment()
        return [
            Program(EPMD, [epmd, "-port", str(self.ports["epmd"])], environment),
            # RabbitMQ's script ends in `exec` only so: the supervisor's pid is then the VM itself.
            Program(NAME, [str(self.installed.server)], environment | {"RUNNING_UNDER_SYSTEMD": "1"}),
        ]

    def prepare(self) -> None:
        for folder in (self.home, self.home / "home", self.home / "mnesia"):
            folder.mkdir(mode=0o700, exist_ok=True)
        (self.home / "env.conf").write_text("")
        (self.home / "advanced.config").write_text("[].\n")
        (self.home / "enabled_plugins").write_text("[].\n")
        configuration = self.home / "rabbitmq.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(CONFIGURATION.format(vhost=VHOST, user=USER, password=self.password))

    def url(self) -> str:
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.ports['amqp']}/{VHOST}"

    def answers(self) -> bool:
        """It opens a connection; a StackError if it refuses the password: waiting would not help."""
        if ports.is_free(self.ports["amqp"]):
            return False
        try:
            pika.BlockingConnection(pika.URLParameters(self.url())).close()
        except pika.exceptions.ProbableAuthenticationError as error:
            raise StackError(
                f"RABBITMQ_PASSWORD in {self.layout.env_file} does not fit the data in {self.home}: "
                "put the old .env back, or `make clean` to begin anew"
            ) from error
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True

    def _environment(self) -> dict[str, str]:
        home = self.home
        return {
            "PATH": self.installed.path,
            "HOME": str(home / "home"),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": str(home / "env.conf"),
            "RABBITMQ_NODENAME": "quintet@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.ports["amqp"]),
            "RABBITMQ_DIST_PORT": str(self.ports["erlang"]),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.layout.logs),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
            "RABBITMQ_CONFIG_FILES": str(self.layout.checkout / "deploy" / "rabbitmq" / "*.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(home / "feature_flags"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": VM_ARGUMENTS,
        }


def stop_stray_epmd(port: int) -> None:
    """A port mapper that an Erlang VM started as a daemon: it belongs to no program's group."""
    for stray in processes.started_with(EPMD, "ERL_EPMD_PORT", str(port)):
        say(f"stopping a left over epmd (pid {stray.pid})")
        processes.stop([stray])
