"""Examples of requests and responses, for the OpenAPI document."""

CHART_DATA = {
    "sprocket_production_actual": [32, 29],
    "sprocket_production_goal": [31, 31],
    "time": [1611204818, 1611204878],
}
CHART = {"chart_data": CHART_DATA}
NEW_FACTORY = {"name": "Springfield", "chart_data": CHART_DATA}
FACTORY = {"id": 1, "name": "Springfield", "factory": CHART}
FACTORIES = {"factories": [FACTORY], "count": 1}
ACTUAL = {"sprocket_production_actual": [32, 29]}
GOAL = {"sprocket_production_goal": [31, 31]}
TIMES = {"time": [1611204818, 1611204878]}
ATTAINMENT = {
    "buckets": [
        {"time": 1611204600, "actual": 61, "goal": 62, "ratio": 0.9838709677419355, "missed": 1, "longest_miss": 1}
    ]
}
POINT = {"time": 1611204938, "actual": 33, "goal": 31}
ACCEPTED = {"accepted": 1}
POINTS_CSV = "time,actual,goal\n1611204818,32,31\n"
NUMBERS = {"teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": 1}
CHANGED_NUMBERS = {"pitch": 2}
SPROCKET = {"sprocket": {"id": 1, **NUMBERS}}
CHANGED_SPROCKET = {"sprocket": {"id": 1, **NUMBERS, **CHANGED_NUMBERS}}
SPROCKETS = {"sprockets": [{"id": 1, **NUMBERS}], "count": 1}
FACTORIES_FILE = {"factories": [{"factory": CHART}]}
SPROCKETS_FILE = {"sprockets": [NUMBERS]}
_LOAD = {
    "id": "019ac0de-7a5b-7c3d-8e4f-1a2b3c4d5e6f",
    "status": "PENDING",
    "size_bytes": 157,
    "factories": 0,
    "sprockets": 0,
    "points": 0,
    "skipped": 0,
    "error": None,
}
PENDING_LOAD = _LOAD
LOAD = {**_LOAD, "status": "SUCCESS", "factories": 1, "points": 2}
