"""HTTP entry points."""

from orders_service.routes import import_errors, import_status, imports, orders, page

BLUEPRINTS = (imports.bp, import_status.bp, import_errors.bp, orders.bp, page.bp)
