"""The page for people: it uploads files, watches imports and shows orders, all by way of the API beside it."""

from pathlib import Path
from typing import Annotated

from flask import Blueprint, Response, current_app, make_response, render_template, request
from pydantic import BaseModel, Field

from chassis.errors import NotFound
from chassis.web.validation import ResponseSpec, endpoint
from orders_service.routes.i18n import LANGUAGES, language
from orders_service.routes.responses import Spoken, refusal

bp = Blueprint("page", __name__, url_prefix="/acme_orders", template_folder=".")

_FILES = ("page.css", "page.js", "api.js", "imports.js", "orders.js")
_ITS_OWN_NAMES = {"en": "English", "pt": "Português", "es": "Español"}
_SOME_TEXT = {"type": "string"}


class FilePath(BaseModel):
    file: Annotated[str, Field(json_schema_extra={"enum": list(_FILES)})]


@bp.get("", strict_slashes=False)
@endpoint(
    "A page to import orders and to look at them",
    {
        200: ResponseSpec("The page, in the language asked for", _SOME_TEXT, "text/html; charset=utf-8"),
        400: refusal("A parameter is wrong"),
    },
    query=Spoken,
)
def show_page(query: Spoken) -> Response:
    languages = [(name, _ITS_OWN_NAMES[name]) for name in LANGUAGES]
    largest = current_app.extensions["orders"].settings.largest_upload_bytes
    html = render_template("page.html", language=language(), languages=languages, largest_bytes=largest)
    page = make_response(html)
    page.headers["Content-Language"] = language()
    page.headers["Vary"] = "Accept-Language"
    page.headers["Cache-Control"] = "no-cache"
    return page


@bp.get("/page/<file>")
@endpoint(
    "What the page is made of",
    {
        200: ResponseSpec("The file", _SOME_TEXT, "text/*"),
        304: ResponseSpec("It has not changed"),
        404: refusal("There is no such file"),
    },
    path=FilePath,
)
def get_file(file: str) -> Response:
    if file not in _FILES:
        raise NotFound("endpoint not found")
    type_ = "text/css" if file.endswith(".css") else "text/javascript"
    response = Response((Path(bp.root_path) / file).read_bytes(), content_type=f"{type_}; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response
