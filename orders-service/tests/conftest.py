import contextlib
import io
import itertools
import threading
from datetime import UTC, datetime

import pytest

from chassis.db import Transaction
from chassis.errors import Unavailable
from chassis.messaging.message_processor import JobContext
from chassis.runtime.metrics import Metrics
from orders_service.app import create_app
from orders_service.domain.rules import Policy
from orders_service.operations.import_metrics import ImportMetrics
from orders_service.operations.importing import run_slice
from orders_service.settings import Settings
from quintet_testing import plugin as testing

PATH = "/acme_orders/api/v1/orders"
HEADER = "id|name|email|state|zipcode|birthday"


@pytest.fixture(scope="session")
def settings(postgres_url):
    # Nothing listens on this port: batch numbers are assigned later.
    return testing.migrated(Settings, "orders", postgres_url, sequence_url="http://127.0.0.1:9")


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)


def _build_row(id=1, name="Ann Smith", email="ann@example.com", state="TX", zipcode="10001", birthday="Feb 27, 1963"):
    return "|".join(map(str, (id, name, email, state, zipcode, birthday)))


@pytest.fixture(scope="session")
def build_row():
    """Return a function that builds a line of a file, valid by default."""
    return _build_row


@pytest.fixture(scope="session")
def build_csv():
    """Return a function that builds the content of a file with these lines after the header."""
    return lambda *lines, header=HEADER, end="\n": end.join([header, *lines, ""]).encode()


class Api:
    """A client of the API, which also runs the slices of imports as the worker does."""

    def __init__(self, client, db):
        self.client, self.db = client, db

    def upload(self, content, query="", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.put(f"{PATH}/import{query}", data=content, content_type="text/csv", headers=headers)

    def send_form(self, content, name="orders.csv", **fields):
        return self.client.post(f"{PATH}/import", data={"csv_file": (io.BytesIO(content), name), **fields})

    def start_import(self, content, query=""):
        response = self.upload(content, query)
        assert response.status_code == 202, response.text
        return response.json["result"]["task_id"]

    def run_slice(self, task_id, policy=None, steps=1):
        """Run a slice as the worker does, but limited to this number of steps after the header."""
        with self.db.transaction() as tx:
            slice_ = tx.value("SELECT turn FROM imports WHERE id = %(id)s", id=task_id)
        step = itertools.count(1)
        run_slice(
            self.db, task_id, slice_, policy or Policy(), lambda: datetime.now(UTC), lambda _: next(step) >= steps
        )

    def finish(self, task_id, **options):
        while self.status(task_id)["status"] in ("PENDING", "PROGRESS"):
            self.run_slice(task_id, **options)
        return self.status(task_id)

    def run_import(self, content, query="", **options):
        """Import the file and return the final status."""
        return self.finish(self.start_import(content, query), **options)

    def status(self, task_id):
        return self.client.get(f"{PATH}/import/status/{task_id}").json["result"]

    def errors(self, task_id, language="en"):
        response = self.client.get(f"{PATH}/import/{task_id}/errors.csv", headers={"Accept-Language": language})
        assert response.status_code == 200
        return response.text

    def findings(self, task_id):
        """Return the findings by the number of the reported line."""
        lines = (line.rsplit("|", 3) for line in self.errors(task_id).splitlines()[1:])
        return {int(line): findings for _, line, findings, _ in lines}

    def orders(self, **query):
        return self.client.get(PATH, query_string=query)

    def order(self, order_id, **headers):
        return self.client.get(f"{PATH}/{order_id}", headers=headers)


@pytest.fixture
def api(client, db):
    return Api(client, db)


@pytest.fixture
def job_context(db, settings):
    """The context that a worker passes to its jobs."""
    return JobContext(db, settings, threading.Event(), ImportMetrics(Metrics("orders")))


@pytest.fixture
def upgrade(old_database):
    """Return a function that migrates the old database and returns an Api for it."""

    def upgrade():
        old_database.upgrade()
        app = create_app(old_database.settings)
        return Api(app.test_client(), app.database)

    return upgrade


@pytest.fixture
def run_slice_with_retries(db):
    """Return a function that runs a slice as the worker does, which retries when a lock times out."""

    def run(task, slice_=1, is_time_up=lambda _: False):
        while True:
            try:
                return run_slice(db, task, slice_, Policy(), lambda: datetime.now(UTC), is_time_up)
            except Unavailable:
                pass

    return run


class SimulatedKill(Exception):
    """Raised instead of killing the process."""


@pytest.fixture
def kill_after(monkeypatch):
    """Return a context manager whose block ends, as if the process were killed, before its n-th statement."""

    @contextlib.contextmanager
    def killing(statements):
        left = itertools.count(statements - 1, -1)

        def killed(original):
            def run(self, *args, **kwargs):
                if next(left) == 0:
                    raise SimulatedKill
                return original(self, *args, **kwargs)

            return run

        with monkeypatch.context() as patched, contextlib.suppress(SimulatedKill):
            for name in ("run", "rows", "find", "value", "copy_in", "insert_many"):
                patched.setattr(Transaction, name, killed(getattr(Transaction, name)))
            yield

    return killing


def get_counts(status):
    return tuple(status[name] for name in ("valid", "invalid", "duplicates", "rejected"))


@pytest.fixture(scope="session")
def counts_of():
    """Return a function that returns (valid, invalid, duplicates, rejected) of a status."""
    return get_counts
