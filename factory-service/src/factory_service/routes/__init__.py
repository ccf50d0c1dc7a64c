"""HTTP entry points: parse the request, open the transaction, call, and respond."""

from chassis.web.openapi_components import Api
from factory_service.routes import charts, factories, loads, production, sprockets

BLUEPRINTS = [factories.bp, charts.bp, production.bp, loads.bp, sprockets.bp]

API = Api(
    "Factories with their production over time, and the sprockets that they make.",
    {
        "factories": "Factories, each with a chart of its production.",
        "charts": "Production over time, and its comparison with the goal.",
        "production": "The points of a chart: submit them, or download all.",
        "sprockets": "The products of factories, with four numbers each.",
        "loads": "Uploaded files of factories, sprockets or production.",
    },
)
