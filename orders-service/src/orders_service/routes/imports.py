"""Imports of uploaded files."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from flask import Blueprint, Response, current_app, g, request
from pydantic import BeforeValidator, Field

from chassis.web import idempotency
from chassis.web.app import transaction, username
from chassis.web.uploads import UploadStream
from chassis.web.validation import endpoint
from orders_service import clients
from orders_service.domain.imports import FileFormat
from orders_service.operations import uploading
from orders_service.operations.upload_receiver import FileWriter, UploadReceiver
from orders_service.routes import examples, file_parameters, forms, responses
from orders_service.routes.i18n import translate
from orders_service.routes.import_status import ImportTask
from orders_service.routes.responses import Query, envelope, error_response, success_response

bp = Blueprint("imports", __name__, url_prefix="/acme_orders/api/v1/orders/import")


def _validate_on_duplicate(value: str) -> str:
    if value not in ("skip", "update"):
        raise ValueError("on_duplicate must be skip or update")
    return value


class ImportQuery(Query):
    file_name: str | None = Field(None, description="Name of a file that is sent as the body; default: `orders.csv`")
    dry_run: Annotated[bool, responses.boolean("dry_run")] = Field(False, description="Validate without storing orders")
    on_duplicate: Annotated[
        Literal["skip", "update"],
        Field(description="Whether a row with the ID of a stored order is a duplicate, or replaces that order"),
        BeforeValidator(_validate_on_duplicate),
    ] = "skip"
    encoding: file_parameters.Encoding = Field(
        None,
        description="Encoding of the file, such as `cp1252`; default: UTF-8, or UTF-16 by its byte order mark",
    )
    columns: file_parameters.ColumnNames = Field(
        None, description='JSON object with the names of columns in the file, such as `{"zipcode": "PLZ"}`'
    )
    date_format: file_parameters.DateFormat = Field(
        None, description="Additional format of birthdays: `%d`, `%m` (or `%b`), `%Y` (or `%y`) and other characters"
    )

    @property
    def file_format(self) -> FileFormat:
        return FileFormat(self.encoding, file_parameters.parse_columns(self.columns), self.date_format)


@bp.route("", methods=["PUT", "POST"])
@endpoint(
    "Import a CSV or XLSX file of orders, sent as the form field `csv_file` or as the body with its `Content-Type`",
    {
        202: success_response(
            "The file is stored durably and will be imported",
            "ImportStartedResponse",
            ImportTask,
            headers=("Location",),
            example=examples.STARTED,
        ),
        400: responses.INVALID_REQUEST,
        408: error_response("UploadTimeout", "The upload is too slow or takes too long"),
        409: responses.KEY_IN_USE,
        413: error_response("UploadTooLarge", "The file, or another part of the form, is larger than allowed"),
        415: error_response(
            "UnsupportedFile", "The name of the file does not end in .csv or .xlsx, or the body is compressed"
        ),
        422: responses.KEY_REUSED,
        503: responses.UNAVAILABLE,
    },
    query=ImportQuery,
    streamed_body=forms.REQUEST_BODY,
    idempotent=True,
    tag="imports",
    description="A response of 202 means that the file is stored durably; a worker imports it completely, each "
    "row once. Follow it at the `Location`. A file may have 2 GiB (configurable). Importing the same "
    "file again reports its rows as duplicates. POST and PUT have the same effect; send an "
    "`Idempotency-Key`, so that a repeat starts no second import.",
)
def import_orders(query: ImportQuery) -> Response:
    receiver: UploadReceiver = current_app.extensions["orders"]
    key = idempotency.request_key()
    body = UploadStream(request, receiver.settings.largest_upload_bytes, forms.FIELD)
    with receiver.receiving(username(), key) as writer:
        file = forms.receive_file(request, body, query.file_name, writer)
        writer.finish()
        return _accept(receiver, writer, file, query, key)


def _accept(
    receiver: UploadReceiver, writer: FileWriter, file: forms.ReceivedFile, query: ImportQuery, key: str | None
) -> Response:
    """Turn the received file into an import and return the response, which is stored under the key.

    The batch number is issued outside of any transaction, and only if no response is stored yet.
    """
    kind = b"\0workbook" if file.is_workbook else b""
    fingerprint = idempotency.request_fingerprint(file.digest + file.name.encode() + kind)
    if key is not None:
        with transaction() as tx:
            if replayed := idempotency.claim(tx, key, fingerprint):
                return replayed
    batch_no = clients.issue_batch_no(receiver.settings.sequence_url, writer.id, g.request_id)
    with transaction() as tx:
        if key is not None and (replayed := idempotency.claim(tx, key, fingerprint)):
            return replayed
        writer.accept(tx)
        upload = uploading.Upload(
            id=writer.id,
            username=username(),
            request_id=g.request_id,
            file_name=file.name,
            dry_run=query.dry_run,
            may_update=query.on_duplicate == "update",
            chunk_count=writer.chunk_count,
            estimated_rows=writer.estimated_rows,
            is_workbook=file.is_workbook,
            file_format=query.file_format,
        )
        uploading.accept_upload(tx, upload, batch_no, datetime.now(UTC))
        response = envelope({"task_id": writer.id, "batch_no": batch_no}, translate("starting import process"), 202)
        response.headers["Location"] = f"{bp.url_prefix}/status/{writer.id}"
        if key is not None:
            idempotency.store_response(tx, key, fingerprint, response)
    return response
