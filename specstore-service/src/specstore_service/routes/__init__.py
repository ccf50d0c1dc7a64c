"""HTTP entry points."""

from specstore_service.routes import auth, files, flows, listing, updates, uploads

BLUEPRINTS = [uploads.bp, updates.bp, listing.bp, flows.bp, files.bp, auth.bp]
