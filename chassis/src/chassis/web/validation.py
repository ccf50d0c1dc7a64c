"""What a route takes and answers, as types: checked before the route runs, described in its OpenAPI document."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from flask import request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from werkzeug.datastructures import MultiDict

from chassis import strictjson
from chassis.errors import Invalid

_MOST_ERRORS = 1000
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def _plain_digits(value: Any) -> Any:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit()) or len(value) > 20:
            raise ValueError("must be an integer in plain digits")
        return int(value)
    return value


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 2.0 is the integer 2."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain_text(value: str) -> str:
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in value):
        raise ValueError("must not contain control characters")
    if not value.strip():
        raise ValueError("must not be blank")
    return value


# Beside a Field with bounds: `Annotated[int, Field(ge=0, le=9), DIGITS]`, for a parameter and for JSON.
DIGITS = BeforeValidator(_plain_digits)
INTEGER = BeforeValidator(_whole)
PlainText = Annotated[str, AfterValidator(_plain_text)]


class ListQuery(BaseModel):
    """The page of a list that a request asks for."""

    model_config = ConfigDict(extra="forbid")
    limit: Annotated[int, Field(ge=1, le=1000), DIGITS] = 100
    offset: Annotated[int, Field(ge=0, le=2**31 - 1), DIGITS] = 0


@dataclass(frozen=True)
class ResponseSpec:
    """One answer in the document: `type` is anything pydantic knows, None for no body."""

    description: str
    type: Any = None
    content_type: str = JSON


@dataclass(frozen=True)
class Endpoint:
    summary: str
    answers: Mapping[int, ResponseSpec]
    path: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    form: type[BaseModel] | None = None
    body: Any = None
    # What the document says of a body that the route reads itself.
    streamed_body: Mapping[str, Any] | None = None
    idempotent: bool = False
    description: str | None = None

    @functools.cached_property
    def is_body_optional(self) -> bool:
        """An omitted body is the same as an empty object, where the model accepts that."""
        try:
            return issubclass(self.body, BaseModel) and self.body.model_validate({}) is not None
        except (TypeError, ValidationError):
            return False

    @functools.cached_property
    def query_of_none(self) -> BaseModel | None:
        """What a request without a query asks for, where everything in it may be left out."""
        fields = self.query.model_fields.values() if self.query else []
        return self.query() if self.query and not any(field.is_required() for field in fields) else None


def endpoint(summary: str, answers: Mapping[int, ResponseSpec], **parts: Any) -> Callable[[Any], Any]:
    """The route gets `query`, `headers`, `form` and `body` as the types named here; all errors are told at once.

    `path` only checks: Flask passes the parts of the path itself.
    """
    described = Endpoint(summary, answers, **parts)
    adapter = TypeAdapter(described.body) if described.body is not None else None

    def decorate(view: Any) -> Any:
        @functools.wraps(view)
        def checked(**path: Any) -> Any:
            return view(**path, **_take(described, adapter, path))

        checked.endpoint = described  # type: ignore[attr-defined]
        return checked

    return decorate


def _take(described: Endpoint, adapter: Any, path: dict[str, Any]) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    wrong: list[tuple[str, str]] = []
    if described.path:
        _into(wrong, lambda: described.path.model_validate(path))  # type: ignore[union-attr]
    if described.query:
        taken["query"] = (described.query_of_none if not request.query_string else None) or _into(
            wrong, lambda: _from_pairs(described.query, request.args)
        )
    elif request.query_string:
        wrong.extend((name, _WORDS["extra_forbidden"]) for name in request.args)
    if described.headers:
        taken["headers"] = _into(wrong, lambda: _from_headers(described.headers))
    if described.form:
        _expect(FORM)
        taken["form"] = _into(wrong, lambda: _from_pairs(described.form, request.form))
    if adapter is not None:
        taken["body"] = _into(wrong, lambda: adapter.validate_python(_json(described), strict=True))
    if wrong:
        wrong = wrong[:_MOST_ERRORS]
        raise Invalid("; ".join(f"{name}: {message}" for name, message in wrong[:20]), errors=wrong)
    return taken


def _json(described: Endpoint) -> Any:
    raw = request.get_data()
    if described.is_body_optional and not raw and not request.content_type:
        return {}
    _expect(JSON)
    return strictjson.loads(raw)


_WORDS = {"extra_forbidden": "is not a known parameter", "missing": "is required"}


def checked(parse: Callable[[], Any]) -> Any:
    """What pydantic makes of it; raises Invalid with every wrong field."""
    wrong: list[tuple[str, str]] = []
    value = _into(wrong, parse)
    if wrong:
        raise Invalid("; ".join(f"{name}: {message}" for name, message in wrong[:20]), errors=wrong[:_MOST_ERRORS])
    return value


def _into(wrong: list[tuple[str, str]], parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except Invalid as invalid:
        if not invalid.errors:
            raise
        wrong.extend(invalid.errors)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = ".".join(str(part) for part in problem["loc"]) or "body"
            wrong.append((name, _WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")))
    return None


def _expect(content_type: str) -> None:
    if request.environ.get("CONTENT_TYPE") == content_type and "HTTP_CONTENT_ENCODING" not in request.environ:
        return
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != content_type or charset not in ("utf-8", "utf8"):
        raise Invalid(f"Content-Type must be {content_type}, in UTF-8", status=415)
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Invalid("Content-Encoding is not supported: send the body uncompressed", status=415)


def _from_pairs(model: Any, pairs: MultiDict[str, str]) -> Any:
    known = {info.alias or name for name, info in model.model_fields.items()}
    wrong = [(name, _WORDS["extra_forbidden"]) for name in pairs if name not in known]
    wrong += [(name, "must not be repeated") for name, values in pairs.lists() if len(values) > 1]
    given = _into(wrong, lambda: model.model_validate({name: pairs[name] for name in pairs if name in known}))
    if wrong:
        raise Invalid("the parameters are invalid", errors=wrong)
    return given


def _from_headers(model: Any) -> Any:
    given = {}
    environ = request.environ
    for header, key in _environ_keys(model):
        if (value := environ.get(key)) is not None:
            try:
                # WSGI hands bytes over as Latin-1.
                given[header] = value if value.isascii() else value.encode("latin-1").decode("utf-8")
            except UnicodeDecodeError:
                raise Invalid.field(header, "must be valid UTF-8") from None
    return model.model_validate(given)


@functools.cache
def _environ_keys(model: Any) -> list[tuple[str, str]]:
    headers = [info.alias or name for name, info in model.model_fields.items()]
    return [(header, "HTTP_" + header.upper().replace("-", "_")) for header in headers]
