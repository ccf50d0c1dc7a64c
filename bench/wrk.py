"""Generate load with wrk and parse its results."""

import json
import re
import subprocess
import tempfile
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}


@dataclass(frozen=True)
class Request:
    """A request, which is repeated with each of its `paths` and `bodies` in turn."""

    paths: list[str]
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    bodies: list[str] = field(default_factory=list)
    # Requests that are in progress when the time is over are processed but not counted: few for slow requests.
    connections: int = 64


@dataclass(frozen=True)
class Load:
    """The number of requests, and the latency that half and 99 % of them do not exceed."""

    requests: int
    p50_ms: float
    p99_ms: float


def run_load(address: str, user: str, password: str, request: Request, seconds: int) -> Load:
    """Raise RuntimeError if a request failed, because the throughput of failing requests is meaningless."""
    credential = b64encode(f"{user}:{password}".encode()).decode()
    headers = {**request.headers, "Authorization": f"Basic {credential}"}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        script.write_text(_lua(request, headers))
        options = [f"-t{min(2, request.connections)}", f"-c{request.connections}", f"-d{seconds}s", "--timeout", "10s"]
        options += ["--latency", "-s", str(script)]
        output = subprocess.run(["wrk", *options, address], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"{request.method} {request.paths[0]}: every status must be 2xx or 3xx\n{output}")
    return Load(int(_find(r"(\d+) requests in", output)), _latency("50%", output), _latency("99%", output))


def _lua(request: Request, headers: dict[str, str]) -> str:
    quoted = ", ".join(json.dumps(path) for path in request.paths)
    fields = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
    bodies = ", ".join(f"[==[{body}]==]" for body in request.bodies or [request.body])
    return f"""
local paths = {{ {quoted} }}
local bodies = {{ {bodies} }}
local requests = {{}}
local index = 0
function init(args)
  math.randomseed(os.time())
  local count = math.max(#paths, #bodies)
  index = math.random(count)
  for i = 1, count do
    local body = bodies[(i - 1) % #bodies + 1]
    local path = paths[(i - 1) % #paths + 1]
    requests[i] = wrk.format({json.dumps(request.method)}, path, {{ {fields} }}, body ~= "" and body or nil)
  end
end
function request()
  index = index % #requests + 1
  return requests[index]
end
"""


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if not match:
        raise RuntimeError(f"unexpected output of wrk:\n{text}")
    return match[1]


def _latency(percentile: str, text: str) -> float:
    number, unit = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]
