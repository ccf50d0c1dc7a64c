"""The dashboard "Work": what the services do, by kind of work."""

from quintet_observability.panels import Panel, quantile, rate, select, state, total

ROWS = {
    "Messages": [
        Panel(
            "Processed messages",
            "By queue and outcome.",
            "ops",
            {rate("quintet_message_duration_seconds_count", "queue", "outcome"): "{{queue}} {{outcome}}"},
        ),
        Panel(
            "Duration of processing",
            "99th percentile.",
            "s",
            {quantile(0.99, "quintet_message_duration_seconds", "queue"): "{{queue}}"},
        ),
        Panel(
            "Redelivered messages",
            "After a failure, or because a worker ended while it processed them.",
            "ops",
            {rate("quintet_messages_redelivered_total", "queue"): "{{queue}}"},
        ),
    ],
    "Orders and datasets": [
        Panel(
            "Imports",
            "Imports that ended, by status.",
            "ops",
            {rate("quintet_imports_total", "status"): "{{status}}"},
        ),
        Panel(
            "Imported rows",
            "By result.",
            "ops",
            {rate("quintet_import_rows_total", "result"): "{{result}}"},
        ),
        Panel("Flows", "By state.", "none", {state("quintet_flows", "state"): "{{state}}"}),
    ],
    "Sequences, events and factories": [
        Panel(
            "Remaining share of sequences",
            "Of the twenty sequences with the fewest numbers left. The alert SequenceNearlyExhausted fires below 10 %.",
            "percentunit",
            {f"min by (sequence) ({select('quintet_sequence_remaining_ratio')})": "{{sequence}}"},
        ),
        Panel(
            "Live readers",
            "Requests that wait for events, and live streams.",
            "none",
            {total("quintet_live_readers", "kind"): "{{kind}}"},
        ),
        Panel(
            "Cache",
            "Requests to Redis, by result.",
            "ops",
            {rate("quintet_cache_requests_total", "result"): "{{result}}"},
        ),
    ],
}
