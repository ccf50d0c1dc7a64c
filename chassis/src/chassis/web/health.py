"""Operational endpoints: liveness, health of the dependencies, metrics, invariants, traces, the OpenAPI document."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from chassis import strictjson
from chassis.db import invariant_runs
from chassis.db.invariant_runs import Invariants
from chassis.errors import Problem
from chassis.messaging import outbox
from chassis.messaging.worker_reports import live_workers
from chassis.runtime import logs
from chassis.runtime.metrics import CONTENT_TYPE
from chassis.web import openapi, queues, traces
from chassis.web.app import App, json_response, this_app, transaction
from chassis.web.openapi_components import Api
from chassis.web.validation import endpoint

log = logs.logger(__name__)

CHECK_SECONDS = 1.0

# Returns additional entries for the report of a dependency; raises if the dependency is down.
Check = Callable[[App], dict[str, Any]]


class InvariantsQuery(BaseModel):
    full: Literal["0", "1"] = Field("0", description="With 1, start a full run, which recomputes all invariants")


def blueprint(
    api: Api,
    invariants: Invariants,
    trace: Sequence[str],
    checks: dict[str, Check] | None = None,
    vital: Sequence[frozenset[str]] = (frozenset({"postgres"}),),
) -> Blueprint:
    """Return the routes that every service has.

    `api` is for the OpenAPI document, `trace` are the queries of chassis.web.traces, and `checks` are
    dependencies other than Postgres and RabbitMQ. The service is DOWN, rather than DEGRADED, if all dependencies of any
    set in `vital` are down.
    """
    bp = Blueprint("health", __name__)
    all_checks: dict[str, Check] = {"postgres": _check_postgres, "rabbitmq": _check_rabbitmq, **(checks or {})}
    # More threads than checks: a check that hangs must not delay the next probe.
    pool = ThreadPoolExecutor(max_workers=4 * len(all_checks), thread_name_prefix="health")

    @bp.get("/livez")
    def livez() -> ResponseReturnValue:
        """Report that the process is running. Deliberately check no dependency."""
        return {"status": "OK"}

    @bp.get("/healthcheck")
    def healthcheck() -> ResponseReturnValue:
        app = this_app()
        return _health_response(app, _run_checks(app, pool, all_checks), vital)

    @bp.get("/metrics")
    def metrics() -> ResponseReturnValue:
        return Response(this_app().metrics.exposition(), content_type=CONTENT_TYPE)

    @bp.get("/metrics/recent")
    def recent_requests() -> ResponseReturnValue:
        """Report the requests of the last 15 minutes, other than those of monitoring."""
        return this_app().metrics.recent_requests.report()

    @bp.get("/metrics/backlog")
    def recent_backlogs() -> ResponseReturnValue:
        """Report the greatest number of unpublished messages in each of the last 15 minutes and the current one."""
        with transaction() as tx:
            return {"minutes": outbox.recent_backlogs(tx)}

    @bp.get("/invariants")
    @endpoint("Report the invariants", {}, query=InvariantsQuery)
    def report_invariants(query: InvariantsQuery) -> ResponseReturnValue:
        # HEAD must be safe.
        is_full_requested = query.full == "1" and request.method == "GET"
        if is_full_requested:
            with transaction() as tx:
                invariant_runs.request_full(tx)
        with transaction() as tx:
            return invariant_runs.report(tx, invariants), 202 if is_full_requested else 200

    traces.add_route(bp, trace)
    queues.add_routes(bp)

    openapi.add_route(bp, api)
    return bp


def _run_checks(app: App, pool: ThreadPoolExecutor, checks: dict[str, Check]) -> dict[str, dict[str, Any]]:
    futures = {name: pool.submit(_run_timed, check, app) for name, check in checks.items()}
    deadline = time.monotonic() + CHECK_SECONDS
    return {name: _result_of(name, future, deadline) for name, future in futures.items()}


def _run_timed(check: Check, app: App) -> dict[str, Any]:
    started_at = time.perf_counter()
    result = check(app)
    return {"status": "OK", "latency_ms": round((time.perf_counter() - started_at) * 1000, 1), **result}


def _result_of(name: str, future: Future[dict[str, Any]], deadline: float) -> dict[str, Any]:
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


def _health_response(app: App, dependencies: dict[str, dict[str, Any]], vital: Sequence[frozenset[str]]) -> Response:
    status = "OK"
    if any(result["status"] != "OK" for result in dependencies.values()):
        down = {name for name, result in dependencies.items() if result["status"] == "DOWN"}
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


def _check_postgres(app: App) -> dict[str, Any]:
    with app.database.transaction() as tx:
        tx.value("SELECT 1")
    return {}


def _check_rabbitmq(app: App) -> dict[str, Any]:
    """Summarize the workers' last reports, which are in Postgres: a web process never connects to RabbitMQ."""
    with app.database.transaction() as tx:
        workers, backlog = live_workers(tx), outbox.backlog(tx)
    connected_count = sum(worker["broker_connected"] for worker in workers)
    result = {
        "workers_alive": len(workers),
        "workers_connected": connected_count,
        "outbox_backlog": backlog["backlog"],
        "outbox_oldest_seconds": round(backlog["oldest_seconds"], 1),
        "queues": {queue: report.get("messages") for queue, report in workers[0]["queues"].items()} if workers else {},
        "dead_letters": workers[0]["dead_letters"] if workers else {},
    }
    if not connected_count:
        reason = "no worker is connected to RabbitMQ" if workers else "no worker is alive"
        return {"status": "DOWN", "detail": reason, **result}
    return result
