"""Whether a service can do its work: what it needs, what waits, what is stuck, what must hold."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from flask import Blueprint, Response

from chassis import strictjson
from chassis.db import Transaction
from chassis.errors import Problem, Unavailable
from chassis.messaging import outbox
from chassis.runtime import logs
from chassis.web import openapi
from chassis.web.app import App, json_response, this_app, transaction
from chassis.web.metrics import CONTENT_TYPE

log = logs.logger(__name__)

CHECK_SECONDS = 1.0
# A worker reports every five seconds.
_WORKER_SILENT_SECONDS = 20

Invariant = Callable[[Transaction], str | None]
Check = Callable[[App], dict[str, Any]]


def blueprint(
    description: str,
    invariants: Mapping[str, Invariant],
    checks: dict[str, Check] | None = None,
    vital: Sequence[frozenset[str]] = (frozenset({"postgres"}),),
) -> Blueprint:
    """Routes that every service has: liveness, health, metrics, invariants, and the OpenAPI document.

    `description` is the document's; `invariants` return None or say what is broken; `checks` are the service's own
    dependencies.
    The service is DOWN, not DEGRADED, once all dependencies of one set of `vital` are down.
    """
    bp = Blueprint("health", __name__)
    asked: dict[str, Check] = {"postgres": _postgres, "rabbitmq": _messaging, **(checks or {})}
    # More than are asked at once: one that hangs must not make the next probe wait.
    pool = ThreadPoolExecutor(max_workers=4 * len(asked), thread_name_prefix="health")

    @bp.get("/livez")
    def livez() -> Any:
        """The process answers. Nothing else is checked, on purpose."""
        return {"status": "OK"}

    @bp.get("/healthcheck")
    def healthcheck() -> Any:
        app = this_app()
        return _report(app, _ask(app, pool, asked), vital)

    @bp.get("/metrics")
    def metrics() -> Any:
        try:
            gauges = _gauges()
        except Unavailable:
            # The other figures are wanted most when something is down.
            gauges = {}
        return Response(this_app().metrics.exposition(gauges), content_type=CONTENT_TYPE)

    @bp.get("/invariants")
    def check_invariants() -> Any:
        with transaction() as tx:
            # Every check looks at the same moment.
            tx.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            found = {name: invariant(tx) for name, invariant in invariants.items()}
        return {
            "status": "BROKEN" if any(found.values()) else "OK",
            "checks": [
                {"name": name, "status": "BROKEN" if detail else "OK", "detail": detail or ""}
                for name, detail in found.items()
            ],
        }

    @bp.get("/openapi.yaml")
    def openapi_yaml() -> Any:
        return Response(document(), content_type="application/yaml; charset=utf-8")

    @functools.cache
    def document() -> str:
        return openapi.as_yaml(openapi.document(this_app(), description))

    return bp


def no_row(find: Callable[[Transaction], dict[str, Any] | None]) -> Invariant:
    """Return an invariant that holds while `find` finds no counterexample, which is its detail otherwise."""

    def check(tx: Transaction) -> str | None:
        row = find(tx)
        return strictjson.dumps({name: str(value) for name, value in row.items()}) if row else None

    return check


def _gauges() -> dict[str, float]:
    with transaction() as tx:
        waiting, workers = outbox.backlog(tx), _workers(tx)
    return {
        "outbox_backlog": float(waiting["backlog"]),
        "outbox_oldest_seconds": waiting["oldest_seconds"],
        "workers_alive": float(len(workers)),
        "dead_letters": float(sum(_dead_letters(workers).values())),
    }


def _ask(app: App, pool: ThreadPoolExecutor, asked: dict[str, Check]) -> dict[str, dict[str, Any]]:
    futures = {name: pool.submit(_timed, check, app) for name, check in asked.items()}
    deadline = time.monotonic() + CHECK_SECONDS
    return {name: _outcome(name, future, deadline) for name, future in futures.items()}


def _timed(check: Check, app: App) -> dict[str, Any]:
    began = time.perf_counter()
    result = check(app)
    return {"status": "OK", "latency_ms": round((time.perf_counter() - began) * 1000, 1), **result}


def _outcome(name: str, future: Future[dict[str, Any]], deadline: float) -> dict[str, Any]:
    try:
        return future.result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        future.cancel()
        return {"status": "DOWN", "detail": f"no response within {CHECK_SECONDS:g} s"}
    except Problem as problem:
        return {"status": "DOWN", "detail": problem.detail}
    except Exception:
        log.exception("health.check_failed", dependency=name)
        return {"status": "DOWN", "detail": "the check failed; the log contains the reason"}


def _report(app: App, dependencies: dict[str, dict[str, Any]], vital: Sequence[frozenset[str]]) -> Response:
    status = "OK"
    if any(found["status"] != "OK" for found in dependencies.values()):
        down = {name for name, found in dependencies.items() if found["status"] == "DOWN"}
        status = "DOWN" if any(down >= group for group in vital) else "DEGRADED"
    body = {
        "status": status,
        "service": f"{app.service}-service",
        "version": app.version,
        "uptime_seconds": round(time.time() - app.started_at),
        "dependencies": dependencies,
    }
    response = json_response(strictjson.dumps(body), 503 if status == "DOWN" else 200)
    if status == "DOWN":
        response.headers["Retry-After"] = "1"
    return response


def _postgres(app: App) -> dict[str, Any]:
    with app.database.transaction() as tx:
        tx.value("SELECT 1")
    return {}


def _messaging(app: App) -> dict[str, Any]:
    """As the workers last reported into Postgres: a web process never talks to RabbitMQ."""
    with app.database.transaction() as tx:
        workers, waiting = _workers(tx), outbox.backlog(tx)
    connected = sum(worker["broker_connected"] for worker in workers)
    found = {
        "workers_alive": len(workers),
        "workers_connected": connected,
        "outbox_backlog": waiting["backlog"],
        "outbox_oldest_seconds": round(waiting["oldest_seconds"], 1),
        "dead_letters": _dead_letters(workers),
    }
    if not connected:
        reason = "no worker is connected to RabbitMQ" if workers else "no worker is alive"
        return {"status": "DOWN", "detail": reason, **found}
    return found


def _workers(tx: Transaction) -> list[dict[str, Any]]:
    return tx.all(
        """
        SELECT worker, broker_connected, dead_letters FROM workers
        WHERE seen_at > now() - make_interval(secs => %(silent)s) ORDER BY seen_at DESC
        """,
        silent=_WORKER_SILENT_SECONDS,
    )


def _dead_letters(workers: list[dict[str, Any]]) -> dict[str, int]:
    """Every worker sees the same queues: the newest report counts."""
    return strictjson.loads(workers[0]["dead_letters"].encode()) if workers else {}
