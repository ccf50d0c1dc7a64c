import io
import itertools
from datetime import UTC, datetime

import pytest

from orders_service.app import create_app
from orders_service.domain.rules import Policy
from orders_service.operations.importing import Import
from orders_service.settings import Settings
from quintet_testing import plugin as testing

PATH = "/acme_orders/api/v1/orders"
HEADER = "id|name|email|state|zipcode|birthday"


@pytest.fixture(scope="session")
def settings(postgres_url):
    # Nobody listens there: the number of a batch is drawn later.
    return testing.migrated(Settings, "orders", postgres_url, sequence_url="http://127.0.0.1:9")


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)


def _an_order(id=1, name="Ann Smith", email="ann@example.com", state="TX", zipcode="10001", birthday="Feb 27, 1963"):
    return "|".join(map(str, (id, name, email, state, zipcode, birthday)))


@pytest.fixture(scope="session")
def an_order():
    """A line of a file: valid unless said otherwise."""
    return _an_order


@pytest.fixture(scope="session")
def a_file():
    """The bytes of a file with these lines below the usual header."""
    return lambda *lines, header=HEADER, end="\n": end.join([header, *lines, ""]).encode()


class Api:
    """The requests of orders.md."""

    def __init__(self, client, db):
        self.client, self.db = client, db

    def upload(self, content, query="", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.put(f"{PATH}/import{query}", data=content, content_type="text/csv", headers=headers)

    def send_form(self, content, name="orders.csv", field="csv_file", **more):
        return self.client.post(f"{PATH}/import", data={field: (io.BytesIO(content), name), **more})

    def accepted(self, content, query=""):
        response = self.upload(content, query)
        assert response.status_code == 202, response.text
        return response.json["result"]["task_id"]

    def take_turn(self, task_id, policy=None, steps=1):
        """As the worker does, but for so many steps after that of the header."""
        with self.db.transaction() as tx:
            turn = tx.value("SELECT turn FROM imports WHERE id = %(id)s", id=task_id)
        done = itertools.count(1)
        work = Import(self.db, task_id, turn, policy or Policy())
        work.take_turn(lambda: datetime.now(UTC), lambda _: next(done) >= steps)

    def finish(self, task_id, **more):
        while self.status(task_id)["status"] in ("PENDING", "PROGRESS"):
            self.take_turn(task_id, **more)
        return self.status(task_id)

    def imported(self, content, query="", **more):
        """The status of an import of that file, once it has ended."""
        return self.finish(self.accepted(content, query), **more)

    def status(self, task_id):
        return self.client.get(f"{PATH}/import/status/{task_id}").json["result"]

    def errors(self, task_id, language="en"):
        response = self.client.get(f"{PATH}/import/{task_id}/errors.csv", headers={"Accept-Language": language})
        assert response.status_code == 200
        return response.text

    def findings(self, task_id):
        """The rules of each line that is told."""
        lines = (line.rsplit("|", 3) for line in self.errors(task_id).splitlines()[1:])
        return {int(line): rules for _, line, rules, _ in lines}

    def orders(self, **query):
        return self.client.get(PATH, query_string=query)

    def order(self, order_id, **headers):
        return self.client.get(f"{PATH}/{order_id}", headers=headers)


@pytest.fixture
def api(client, db):
    return Api(client, db)


def counts(status):
    return tuple(status[name] for name in ("valid", "invalid", "duplicates", "rejected"))


@pytest.fixture(scope="session")
def counted():
    """(valid, invalid, duplicates, rejected) of a status."""
    return counts
