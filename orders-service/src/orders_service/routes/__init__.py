"""HTTP in."""

from orders_service.routes import imports, orders

BLUEPRINTS = (imports.bp, orders.bp)
