"""The web page, which uploads files, follows imports and shows orders through the API."""

from pathlib import Path
from typing import Annotated

from flask import Blueprint, Response, current_app, make_response, render_template, request
from pydantic import BaseModel, Field

from chassis.errors import NotFound
from chassis.web.app import role
from chassis.web.endpoints import ResponseSpec
from chassis.web.validation import endpoint
from orders_service.routes.i18n import LANGUAGES, language
from orders_service.routes.responses import INVALID_REQUEST, NOT_FOUND, LocalizedQuery

bp = Blueprint("page", __name__, url_prefix="/acme_orders", template_folder=".")

_FILES = ("page.css", "page.js", "api.js", "imports.js", "options.js", "orders.js", "uploads.js")
_LANGUAGE_NAMES = {"en": "English", "pt": "Português", "es": "Español"}
_TEXT = {"type": "string"}


class FilePath(BaseModel):
    file: Annotated[str, Field(description="Name of the file", json_schema_extra={"enum": list(_FILES)})]


@bp.get("", strict_slashes=False)
@endpoint(
    "Show the web page for importing and browsing orders",
    {
        200: ResponseSpec(
            "The page in the preferred language", _TEXT, "text/html; charset=utf-8", example="<!DOCTYPE html>…"
        ),
        400: INVALID_REQUEST,
    },
    query=LocalizedQuery,
    tag="page",
    description="For people: the page calls the other operations of this document.",
)
def show_orders_page(query: LocalizedQuery) -> Response:
    languages = [(name, _LANGUAGE_NAMES[name]) for name in LANGUAGES]
    max_bytes = current_app.extensions["orders"].settings.largest_upload_bytes
    values = {"language": language(), "languages": languages, "max_bytes": max_bytes, "is_reader": role() == "reader"}
    html = render_template("page.html", **values)
    page = make_response(html)
    page.headers["Content-Language"] = language()
    page.headers["Vary"] = "Accept-Language"
    page.headers["Cache-Control"] = "no-cache"
    return page


@bp.get("/page/<file>")
@endpoint(
    "Get a script or style sheet of the web page",
    {
        200: ResponseSpec("The file", _TEXT, "text/*", headers=("ETag",), example="body { margin: 0; }"),
        304: ResponseSpec("The file has not changed", headers=("ETag",)),
        404: NOT_FOUND,
    },
    path=FilePath,
    tag="page",
    description="The page refers to these files; they are not part of the API.",
)
def get_page_file(file: str) -> Response:
    if file not in _FILES:
        raise NotFound("endpoint not found")
    type_ = "text/css" if file.endswith(".css") else "text/javascript"
    response = Response((Path(bp.root_path) / file).read_bytes(), content_type=f"{type_}; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response
