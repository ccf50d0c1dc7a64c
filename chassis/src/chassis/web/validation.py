"""Request validation: a route declares its inputs and responses as types, which also appear in the OpenAPI document."""

import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from flask import request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter
from werkzeug.datastructures import MultiDict

from chassis import strictjson
from chassis.errors import Invalid
from chassis.web.endpoints import FORM, JSON, Endpoint, ResponseSpec
from chassis.web.input_errors import UNKNOWN_PARAMETER, Errors, collect_errors, raise_if_any


def _parse_digits(value: Any) -> Any:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit()) or len(value) > 20:
            raise ValueError("must be an integer in plain digits")
        return int(value)
    return value


def _convert_integral_float(value: Any) -> Any:
    """Return 2 for 2.0: JSON has only one type of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_plain_text(value: str) -> str:
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in value):
        raise ValueError("must not contain control characters")
    if not value.strip():
        raise ValueError("must not be blank")
    return value


# Used with a bounded Field: `Annotated[int, Field(ge=0, le=9), DIGITS]` for a parameter, INTEGER instead for JSON.
DIGITS = BeforeValidator(_parse_digits)
INTEGER = BeforeValidator(_convert_integral_float)
PlainText = Annotated[str, AfterValidator(_check_plain_text)]


class ListQuery(BaseModel):
    """The parameters that select a page of a list."""

    model_config = ConfigDict(extra="forbid")
    limit: Annotated[int, Field(ge=1, le=1000, description="Maximum number of results"), DIGITS] = 100
    offset: Annotated[int, Field(ge=0, le=2**31 - 1, description="Number of results to skip"), DIGITS] = 0


def endpoint(summary: str, responses: Mapping[int, ResponseSpec], **inputs: Any) -> Callable[[Any], Any]:
    """Declare a route's inputs; the route receives `query`, `headers`, `form` and `body` as the declared types.

    All errors of a request are reported together. `path` is only validated: Flask itself passes the parts of the path.
    Unknown parameters are errors, except for a model that is configured with `extra="ignore"`.
    """
    spec = Endpoint(summary, responses, **inputs)
    adapter: TypeAdapter[Any] | None = TypeAdapter(spec.body) if spec.body is not None else None

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def validated_view(**path: Any) -> Any:
            return view(**path, **_parse_request(spec, adapter, path))

        validated_view.endpoint = spec  # type: ignore[attr-defined]
        return validated_view

    return decorate


def _parse_request(spec: Endpoint, adapter: TypeAdapter[Any] | None, path: dict[str, Any]) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    errors: Errors = []
    if path_model := spec.path:
        collect_errors(errors, lambda: path_model.model_validate(path))
    if query_model := spec.query:
        inputs["query"] = (spec.default_query if not request.query_string else None) or collect_errors(
            errors, lambda: _parse_pairs(query_model, request.args)
        )
    elif request.query_string:
        errors.extend((name, UNKNOWN_PARAMETER) for name in request.args)
    if headers_model := spec.headers:
        inputs["headers"] = collect_errors(errors, lambda: _parse_headers(headers_model))
    if form_model := spec.form:
        _require_content_type(FORM)
        inputs["form"] = collect_errors(errors, lambda: _parse_pairs(form_model, request.form))
    if adapter is not None:
        inputs["body"] = collect_errors(errors, lambda: _parse_body(spec, adapter))
    raise_if_any(errors)
    return inputs


def _parse_body(spec: Endpoint, adapter: TypeAdapter[Any]) -> Any:
    if spec.streamed_body and request.mimetype in spec.streamed_body["content"]:
        return None
    if spec.is_body_optional and not request.content_type and not request.get_data():
        return spec.body()
    _require_content_type(JSON)
    return adapter.validate_python(strictjson.loads(request.get_data()), strict=True)


def _require_content_type(content_type: str) -> None:
    if request.environ.get("CONTENT_TYPE") == content_type and "HTTP_CONTENT_ENCODING" not in request.environ:
        return
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != content_type or charset not in ("utf-8", "utf8"):
        raise Invalid(f"Content-Type must be {content_type}, in UTF-8", status=415)
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Invalid("Content-Encoding is not supported: send the body uncompressed", status=415)


def _parse_pairs(model: type[BaseModel], pairs: MultiDict[str, str]) -> BaseModel | None:
    names = [field.alias or name for name, field in model.model_fields.items()]
    is_lenient = model.model_config.get("extra") == "ignore"
    errors = [(name, UNKNOWN_PARAMETER) for name in pairs if name not in names and not is_lenient]
    errors += [(name, "must not be repeated") for name in names if len(pairs.getlist(name)) > 1]
    parsed = collect_errors(errors, lambda: model.model_validate({n: pairs[n] for n in pairs if n in names}))
    raise_if_any(errors)
    return parsed


def _parse_headers(model: type[BaseModel]) -> BaseModel:
    values = {}
    for header, key in _environ_keys(model):
        if (value := request.environ.get(key)) is not None:
            try:
                # WSGI decodes bytes as Latin-1.
                values[header] = value if value.isascii() else value.encode("latin-1").decode("utf-8")
            except UnicodeDecodeError:
                raise Invalid.field(header, "must be valid UTF-8") from None
    return model.model_validate(values)


@functools.cache
def _environ_keys(model: type[BaseModel]) -> list[tuple[str, str]]:
    headers = [field.alias or name for name, field in model.model_fields.items()]
    return [(header, "HTTP_" + header.upper().replace("-", "_")) for header in headers]
