"""HTTP in: parse, open the transaction, call, answer."""

from factory_service.routes import charts, factories, loads, sprockets

BLUEPRINTS = [factories.bp, charts.bp, loads.bp, sprockets.bp]
