"""HTTP routes: parse the request, open the transaction, call an operation, respond."""

from chassis.web.openapi_components import Api
from sequence_service.routes import built_in, issued, numbers, sequences

BLUEPRINTS = [built_in.bp, sequences.bp, numbers.bp, issued.bp]

API = Api(
    "Issues document numbers. A number issued to one caller is not issued to any other caller within the same cycle.",
    {
        "sequences": "Named counters: their ranges, formats and periods.",
        "numbers": "The numbers of sequences: issue the next ones, and list who received which.",
    },
)
