"""HTTP routes: parse the request, open the transaction, call an operation, respond."""

from sequence_service.routes import built_in, issued, numbers, sequences

BLUEPRINTS = [built_in.bp, sequences.bp, numbers.bp, issued.bp]
