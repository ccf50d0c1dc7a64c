"""The dashboard "Services": requests, connections, and messages on their way."""

from quintet_observability.panels import Panel, quantile, rate, select, state, total

ROWS = {
    "Requests": [
        Panel(
            "Requests",
            "Without probes and scrapes.",
            "reqps",
            {select("service:quintet_http_requests:rate5m"): "{{service}}"},
        ),
        Panel(
            "Share of failed requests",
            "Status 500 and above. The alert HighErrorRate fires above 5 %.",
            "percentunit",
            {
                f"{select('service:quintet_http_errors:rate5m')} / {select('service:quintet_http_requests:rate5m')}": (
                    "{{service}}"
                )
            },
        ),
        Panel(
            "Latency",
            "Without uploads, invariants and requests that wait for events. The alert HighLatency fires above 1 s.",
            "s",
            {
                select("service:quintet_http_request_duration_seconds:p99"): "{{service}} 99 %",
                f"histogram_quantile(0.5, {select('service:quintet_http_request_duration_seconds_bucket:rate5m')})": (
                    "{{service}} 50 %"
                ),
            },
        ),
        Panel(
            "Failed requests by route",
            "Each 500 has a traceback in the log: `make logs L=error`.",
            "reqps",
            {
                select(
                    "route:quintet_http_requests:rate5m", 'status=~"5.."'
                ): "{{service}} {{status}} {{method}} {{route}}"
            },
        ),
        Panel(
            "Slowest routes",
            "99th percentile, including those that are slow by design.",
            "s",
            {
                f"topk(10, {quantile(0.99, 'quintet_http_request_duration_seconds', 'service', 'method', 'route')})": (
                    "{{service}} {{method}} {{route}}"
                )
            },
        ),
        Panel(
            "Unexpected errors",
            "Exceptions without a response of their own: defects.",
            "ops",
            {rate("quintet_unexpected_errors_total", "service"): "{{service}}"},
        ),
    ],
    "Programs": [
        Panel(
            "Programs that respond to scrapes",
            "The alerts NoWeb and NoWorker fire at 0.",
            "none",
            {total("up", "service", "process"): "{{service}}-{{process}}"},
        ),
        Panel(
            "Age of the loops of workers",
            "The alert WorkerStuck fires above 60 s.",
            "s",
            {state("quintet_worker_loop_age_seconds", "service", "loop"): "{{service}} {{loop}}"},
        ),
        Panel(
            "Versions",
            "Webs and workers by version.",
            "none",
            {f"count by (service, version) ({select('quintet_build_info')})": "{{service}} {{version}}"},
        ),
    ],
    "Connections to Postgres": [
        Panel(
            "Connections in use",
            "Of all processes together, and the size of their pools.",
            "none",
            {
                total("quintet_pool_connections_in_use", "pool"): "{{pool}} in use",
                total("quintet_pool_connections", "pool"): "{{pool}} limit",
            },
        ),
        Panel(
            "Waiting for a connection",
            "The alert PoolExhausted fires after two minutes above 0.",
            "none",
            {total("quintet_pool_waiting", "pool"): "{{pool}}"},
        ),
        Panel(
            "Time until a connection is available",
            "99th percentile.",
            "s",
            {quantile(0.99, "quintet_pool_wait_seconds", "pool"): "{{pool}}"},
        ),
        Panel(
            "Connections of the server",
            "Of all services and other clients. The alert ConnectionsNearLimit fires at 90 % of the limit.",
            "none",
            {"max(quintet_postgres_connections)": "connections", "max(quintet_postgres_max_connections)": "limit"},
        ),
        Panel(
            "Lag of the read replica",
            "Only with READ_DATABASE_URL. The alert FollowerBehind fires above 60 s.",
            "s",
            {state("quintet_follower_lag_seconds", "service"): "{{service}}"},
        ),
    ],
    "Messages": [
        Panel(
            "Messages that wait to be published",
            "In the outbox.",
            "none",
            {state("quintet_outbox_messages", "service"): "{{service}}"},
        ),
        Panel(
            "Age of the oldest unpublished message",
            "The alert OutboxStuck fires above 60 s.",
            "s",
            {state("quintet_outbox_oldest_seconds", "service"): "{{service}}"},
        ),
        Panel(
            "Published messages",
            "Confirmed by RabbitMQ.",
            "ops",
            {rate("quintet_relay_published_total", "service"): "{{service}}"},
        ),
        Panel(
            "Messages in queues",
            "Those that are being processed are not counted.",
            "none",
            {state("quintet_queue_messages", "queue"): "{{queue}}"},
        ),
        Panel(
            "Dead letters",
            "Messages that failed permanently: `make dead-letters`. The alert DeadLetters fires above 0.",
            "none",
            {state("quintet_dead_letters", "queue"): "{{queue}}"},
        ),
        Panel(
            "Relays and connections to RabbitMQ",
            "The alert NoRelay fires if no worker of a service leads.",
            "none",
            {
                total("quintet_relay_leading", "service"): "{{service}} leading relays",
                total("quintet_broker_connected", "service"): "{{service}} connected workers",
            },
        ),
    ],
}
