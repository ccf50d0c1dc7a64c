"""HTTP entry points."""

from orders_service.routes import imports, orders, page

BLUEPRINTS = (imports.bp, orders.bp, page.bp)
