"""Pages of the orders: the upload of files, imports with their counts and errors, and the stored orders."""

from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from chassis.errors import Problem
from console_service.clients import call
from console_service.routes.pages import (
    field_errors,
    query_integer,
    read_parts,
    render_live_part,
    render_page,
    run_action,
)

bp = Blueprint("orders", __name__, url_prefix="/console/orders")

_SERVICE = "orders-service"
_PATH = ("acme_orders", "api", "v1", "orders")
_FILTERS = ("valid", "state", "name", "email", "zipcode")
_IMPORT_PAGE_SIZE, _PAGE_SIZE, _SHOWN_ERRORS = 10, 50, 20


@bp.get("")
def show_orders() -> Response:
    filters = {name: value for name in _FILTERS if (value := request.args.get(name, "").strip())}
    offset = query_integer("offset") or 0
    parts = read_parts(imports=lambda: _read_imports(offset), orders=lambda: _read_orders(filters))
    orders = parts["orders"]
    return render_page(
        "orders/list.html",
        **parts,
        filters=filters,
        page_size=_PAGE_SIZE,
        errors=field_errors(orders) if isinstance(orders, Problem) and orders.errors else {},
    )


@bp.get("/imports")
def show_imports() -> Response:
    """Return the part of the page that is refreshed while an import is running."""
    offset = query_integer("offset") or 0
    return render_page("orders/imports.html", **read_parts(imports=lambda: _read_imports(offset)))


@bp.get("/imports/<task_id>")
def show_import(task_id: str) -> Response:
    return _render_import(task_id)


@bp.get("/imports/<task_id>/status")
def show_status(task_id: str) -> Response:
    """Return the part of the page of an import that is refreshed while it is running."""
    import_status = _read_status(task_id)
    page_url = url_for("orders.show_import", task_id=task_id)
    return render_live_part(
        "orders/status.html", page_url, has_ended=not import_status["is_changing"], import_status=import_status
    )


@bp.post("/imports/<task_id>")
def act_on_import(task_id: str) -> BaseResponse:
    actions = {"cancel": lambda: _cancel(task_id), "undo": lambda: _undo(task_id)}
    return run_action(actions, lambda problem, action: _render_import(task_id, problem))


@bp.get("/<order_id>")
def show_order(order_id: str) -> Response:
    return _render_order(order_id)


@bp.post("/<order_id>")
def act_on_order(order_id: str) -> BaseResponse:
    return run_action({"delete": lambda: _delete(order_id)}, lambda problem, action: _render_order(order_id, problem))


def _cancel(task_id: str) -> BaseResponse:
    call(_SERVICE, "DELETE", *_PATH, "import", "status", task_id)
    return redirect(url_for("orders.show_import", task_id=task_id, done="cancelling"), 303)


def _undo(task_id: str) -> BaseResponse:
    call(_SERVICE, "DELETE", *_PATH, "import", task_id, key=request.form["key"])
    return redirect(url_for("orders.show_import", task_id=task_id, done="undoing"), 303)


def _delete(order_id: str) -> BaseResponse:
    call(_SERVICE, "DELETE", *_PATH, order_id, key=request.form["key"])
    return redirect(url_for("orders.show_orders", done="deleted"), 303)


def _render_import(task_id: str, problem: Problem | None = None) -> Response:
    query = {"limit": _SHOWN_ERRORS}
    parts = read_parts(
        import_status=lambda: _read_status(task_id),
        first_errors=lambda: call(_SERVICE, "GET", *_PATH, "import", task_id, "errors", query=query)["result"],
    )
    if isinstance(parts["import_status"], Problem):
        raise parts["import_status"]
    return render_page("orders/import.html", problem.status if problem else 200, **parts, errors=field_errors(problem))


def _render_order(order_id: str, problem: Problem | None = None) -> Response:
    order = call(_SERVICE, "GET", *_PATH, order_id)["result"]
    return render_page(
        "orders/order.html", problem.status if problem else 200, order=order, errors=field_errors(problem)
    )


def _read_imports(offset: int) -> dict[str, Any]:
    query = {"limit": _IMPORT_PAGE_SIZE, "offset": offset}
    page = call(_SERVICE, "GET", *_PATH, "import", "status", query=query)
    statuses = [_describe_status(status) for status in page["result"]]
    return {
        "statuses": statuses,
        "total": page["total"],
        "is_changing": any(status["is_changing"] for status in statuses),
        "offset": offset,
        "next_offset": offset + _IMPORT_PAGE_SIZE,
        "previous_offset": max(offset - _IMPORT_PAGE_SIZE, 0),
    }


def _read_orders(filters: dict[str, str]) -> dict[str, Any]:
    """Return a page of the orders; one order more than is shown indicates that there is a next page."""
    after = request.args.get("after", "")
    query = filters | {"limit": str(_PAGE_SIZE + 1)} | ({"after": after} if after else {})
    page = call(_SERVICE, "GET", *_PATH, query=query)
    orders = page["result"]
    return {
        "orders": orders[:_PAGE_SIZE],
        "total": page.get("total"),
        "after": after,
        "next_after": orders[_PAGE_SIZE - 1]["id"] if len(orders) > _PAGE_SIZE else None,
    }


def _read_status(task_id: str) -> dict[str, Any]:
    return _describe_status(call(_SERVICE, "GET", *_PATH, "import", "status", task_id)["result"])


def _describe_status(status: dict[str, Any]) -> dict[str, Any]:
    """Add what the user can do with the import, and whether its status will change by itself."""
    has_ended = status["finished_at"] is not None
    undo = status["undo"]
    # An import that only updated orders created none that an undo could delete.
    has_created = status["valid"] + status["invalid"] > status["updated"]
    return status | {
        "has_ended": has_ended,
        "is_changing": not has_ended or (undo is not None and undo["finished_at"] is None),
        "can_undo": has_ended and undo is None and has_created and not status["dry_run"],
    }
