"""The form of request IDs, by which log lines, messages, events and stored objects are traced to a request."""

import re

PATTERN = "^[A-Za-z0-9._-]{1,128}$"
is_valid = re.compile(PATTERN.removesuffix("$") + r"\Z").match
