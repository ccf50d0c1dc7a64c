"""Examples of requests and responses, for the OpenAPI document."""

import json

EVENT_ID = "019ac0de-7a5b-7c3d-8e4f-1a2b3c4d5e6f"
POSTED_EVENT = {
    "event": {"name": "Webshop order was placed", "version": 1},
    "system": {"id": "7c1f4f0e", "name": "webshop", "time": "2026-11-27 09:30:00", "timezone": "Europe/Berlin"},
    "trigger": {"type": "user", "name": "checkout"},
    "payload": {"order": 4711, "total": 99.5},
}
EVENT = {
    **POSTED_EVENT,
    "event": {"id": EVENT_ID, "name": "Webshop order was placed", "version": 1},
    "stream": "webshop",
    "sequence": 17,
    "position": 42,
    "producer": "d3b07384",
    "user": "ann",
    "request_id": "0f8fad5bd9cb469fa16570867728950e",
    "received_at": "2026-11-27T08:30:00.123456Z",
}
EVENTS = {"events": [EVENT], "total": 1}
NEWEST_EVENTS = {**EVENTS, "next": None}
LIVE_EVENTS = f"retry: 1000\nid: 41\n\nid: 42\ndata: {json.dumps(EVENT, separators=(',', ':'))}\n\n:\n\n"
STREAM = {
    "stream": "webshop",
    "producer": "d3b07384",
    "events": {"Webshop order was placed": 17, "Webshop order was paid": 25},
    "position": 42,
    "first_at": "2026-11-01T00:00:00.000000Z",
    "last_at": "2026-11-27T08:30:00.123456Z",
}
STREAMS = {"streams": [STREAM], "total": 1}
ACKNOWLEDGEMENT = {"action": "ACK"}
CONSUMERS = {
    "consumers": [
        {
            "consumer": "billing",
            "eventName": "Webshop order was placed",
            "offset": 15,
            "lag": 2,
            "moved_at": "2026-11-27T08:30:00.123456Z",
            "stuck": {
                "event": EVENT_ID,
                "since": "2026-11-27T08:31:00.123456Z",
                "nacks": 2,
                "reason": "the invoice has no address",
            },
            "parked": 1,
        }
    ],
    "total": 1,
}
OFFSET = {"eventName": "Webshop order was placed", "offset": 0}
PARKED_EVENTS = {
    "parked": [
        {**EVENT, "nacks": 5, "reason": "the invoice has no address", "parked_at": "2026-11-27T08:35:00.123456Z"}
    ],
    "total": 1,
}
SCHEMA = {"type": "object", "required": ["order"], "properties": {"order": {"type": "integer"}}}
SCHEMAS = {"schemas": [{"eventName": "Webshop order was placed", "version": 1}], "total": 1}
RETENTION = {"max_age_days": 90, "max_events": 1000000}
