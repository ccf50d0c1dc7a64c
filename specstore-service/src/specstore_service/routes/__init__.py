"""HTTP entry points."""

from chassis.web.openapi_components import Api
from specstore_service.routes import auth, files, flows, listing, updates, uploads
from specstore_service.routes.responses import TOKEN_SCHEMES

BLUEPRINTS = [uploads.bp, updates.bp, listing.bp, flows.bp, files.bp, auth.bp]

API = Api(
    "A registry of source specs: each upload creates a revision, which is planned as pipelines and run.",
    {
        "specs": "Descriptions of sources: uploaded as a new revision, or planned only.",
        "datasets": "Data that specs describe, with their revisions.",
        "flows": "The runs of the pipelines of a revision.",
        "pipelines": "The steps of flows, for an external runner.",
        "files": "Uploaded sources and the outputs of pipelines.",
        "tokens": "Tokens that prove who owns a dataset.",
    },
    TOKEN_SCHEMES,
)
