"""RabbitMQ and the Erlang port mapper it needs: private node, private cookie, loopback only."""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import pika
import pika.exceptions

from quintet_local import broker_users, envfile, erlang, ports
from quintet_local.broker_users import ADMINISTRATOR, VHOST
from quintet_local.layout import Layout
from quintet_local.supervise import Program

NAME = "rabbitmq"
EPMD = "epmd"
# For each VM, also those that RabbitMQ's scripts start: a port mapper that one starts itself outlives the stack.
EVERY_VM = "-start_epmd false"
# It does not busy-wait.
VM_ARGUMENTS = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
# A refused connection is an answer here, not an error to log.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class RabbitMQ:
    """The broker of one stack."""

    def __init__(
        self, layout: Layout, settings: Mapping[str, str], numbers: Mapping[str, int], services: Iterable[str]
    ) -> None:
        self.layout = layout
        self.settings = settings
        self.ports = numbers
        self.home = layout.home / NAME
        self.definitions = broker_users.definitions(settings, services)
        self.cookie = settings["RABBITMQ_ERLANG_COOKIE"]

    @cached_property
    def installed(self) -> erlang.Installed:
        return erlang.find(self.layout.venv)

    def programs(self) -> list[Program]:
        epmd = shutil.which(EPMD, path=self.installed.path) or EPMD
        environment = self._environment()
        return [
            Program(EPMD, [epmd, "-port", str(self.ports["epmd"])], environment),
            Program(NAME, [str(self.installed.server)], environment | self._of_the_server(), orphan_signal="TERM"),
        ]

    def prepare(self) -> None:
        for folder in (self.home, self.home / "home", self.home / "mnesia"):
            folder.mkdir(mode=0o700, exist_ok=True)
        (self.home / "env.conf").write_text("")
        (self.home / "advanced.config").write_text("[].\n")
        (self.home / "enabled_plugins").write_text("[].\n")
        # What belongs to one stack; all else is in deploy/rabbitmq, for both ways to run.
        definitions = self.home / "definitions.json"
        _write_private(definitions, self.definitions, 0o600)
        _write_private(self.home / "rabbitmq.conf", f"load_definitions = {definitions}\n", 0o600)
        # One that Erlang makes can be guessed: its generator has 36 bits.
        _write_private(self.home / "home" / ".erlang.cookie", self.cookie, 0o400)

    def url(self) -> str:
        return self._url(ADMINISTRATOR, self.settings["RABBITMQ_PASSWORD"])

    def service_url(self, service: str) -> str:
        return self._url(service, self.settings[envfile.broker_password_name(service)])

    def answers(self) -> bool:
        if ports.is_free(self.ports["amqp"]):
            return False
        try:
            pika.BlockingConnection(pika.URLParameters(self.url())).close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True

    def _url(self, user: str, password: str) -> str:
        return f"amqp://{user}:{quote(password, safe='')}@127.0.0.1:{self.ports['amqp']}/{VHOST}"

    def _of_the_server(self) -> dict[str, str]:
        return {
            # RabbitMQ's script ends in `exec` only so: the supervisor's pid is then the VM itself.
            "RUNNING_UNDER_SYSTEMD": "1",
            # Both are read at the start: one that runs with others is started again.
            "QUINTET_READS": hashlib.sha256(f"{self.definitions} {self.cookie}".encode()).hexdigest(),
        }

    def _environment(self) -> dict[str, str]:
        home = self.home
        return {
            "PATH": self.installed.path,
            "HOME": str(home / "home"),
            "LANG": "C.UTF-8",
            "ERL_FLAGS": EVERY_VM,
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


def _write_private(file: Path, text: str, mode: int) -> None:
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as out:
        out.write(text)
    new.replace(file)
