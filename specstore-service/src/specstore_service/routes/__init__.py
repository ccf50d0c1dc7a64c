"""HTTP in: parse, ask, answer."""

from specstore_service.routes import auth, flows, listing, updates, uploads

BLUEPRINTS = [uploads.bp, updates.bp, listing.bp, flows.bp, auth.bp]
