"""The web application behind the gateway: aggregated health and invariants of all services."""
