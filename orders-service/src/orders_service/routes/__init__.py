"""HTTP entry points."""

from chassis.web.openapi_components import Api
from orders_service.routes import import_errors, import_status, import_undo, imports, order_export, orders, page

BLUEPRINTS = (imports.bp, import_status.bp, import_errors.bp, import_undo.bp, orders.bp, order_export.bp, page.bp)

API = Api(
    "Wine orders, imported from CSV and XLSX files and validated against shipping rules.",
    {
        "orders": "Imported orders, and the shipping rules that they violate.",
        "imports": "Uploaded files of orders: their progress, their errors and their undo.",
        "page": "The web page for importing and browsing orders.",
    },
    headers={"Accept-Language": "Language of messages: `en`, `pt` or `es`; English by default"},
)
