"""HTTP entry points: parse the request, open the transaction, call, and respond."""

from factory_service.routes import charts, factories, loads, production, sprockets

BLUEPRINTS = [factories.bp, charts.bp, production.bp, loads.bp, sprockets.bp]
