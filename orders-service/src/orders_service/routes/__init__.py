"""HTTP entry points."""

from orders_service.routes import import_errors, import_status, import_undo, imports, order_export, orders, page

BLUEPRINTS = (imports.bp, import_status.bp, import_errors.bp, import_undo.bp, orders.bp, order_export.bp, page.bp)
