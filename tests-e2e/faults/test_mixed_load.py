"""The short form of `make test-faults`: random faults under a mixed load, after which nothing is lost or doubled."""

import pytest

from quintet_e2e.compose import engine_responds
from quintet_e2e.faults import BROKER_RECOVERY_SECONDS, seeded_random
from quintet_faults import table
from quintet_faults.injection import WEBS, WORKERS, faults_for, select
from quintet_faults.rounds import run_rounds

TIMEOUT_SECONDS = 900
HOLD_SECONDS = 6.0

pytestmark = [
    pytest.mark.fault,
    pytest.mark.timeout(TIMEOUT_SECONDS),
    pytest.mark.parametrize("stack", ["compose" if engine_responds() else "local"], indirect=True),
]


def test_nothing_is_lost_or_doubled_while_faults_are_injected(stack):
    random = seeded_random()
    patterns = [
        f"kill-{random.choice(WORKERS)}",
        f"kill-process-{random.choice(WEBS)}",
        f"pause-{random.choice(WEBS)}",
        random.choice(["kill-postgres", "pause-postgres"]),
        random.choice(["kill-rabbitmq", "cut-rabbitmq"] if stack.kind == "compose" else ["kill-rabbitmq"]),
        random.choice(["kill-gateway", "kill-redis"]),
    ]
    faults = select(faults_for(stack), patterns)
    random.shuffle(faults)
    result = run_rounds(stack, faults, random, print, max_hold_seconds=HOLD_SECONDS)
    print(table.render(result))
    assert result.all_violations == []
    assert len(result.measurements) == len(patterns)
    for row in result.measurements.values():
        assert row.operations > 0
        assert row.recovery_seconds < BROKER_RECOVERY_SECONDS
