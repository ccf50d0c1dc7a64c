"""Command line: `python -m specstore_service web | worker | migrate`."""

from collections.abc import Mapping

from chassis.cli import Service, main
from chassis.messaging.worker import Timer
from chassis.messaging.worker_metrics import StateGauge
from specstore_service.handlers import HANDLERS
from specstore_service.operations import scheduling, updates
from specstore_service.settings import Settings
from specstore_service.store.flows import count_flows_by_state
from specstore_service.store.object_stores import create_object_store
from specstore_service.store.objects import delete_abandoned_files


def timers(settings: Settings) -> Mapping[str, Timer]:
    silent_seconds = settings.pipeline_silence_seconds
    is_external = settings.dpp_url is not None
    return {
        "sweeps": Timer(600, lambda _tx, _now: delete_abandoned_files(create_object_store(settings))),
        "time-outs": Timer(min(5.0, silent_seconds / 4), lambda tx, now: updates.time_out(tx, silent_seconds, now)),
        "schedules": Timer(
            settings.schedule_look_seconds, lambda tx, now: scheduling.run_due(tx, now, is_external=is_external)
        ),
    }


if __name__ == "__main__":
    main(
        Service(
            "specstore",
            Settings,
            consumers=lambda _settings: HANDLERS,
            timers=timers,
            gauges=lambda _settings: [StateGauge("flows", "Flows by state", count_flows_by_state, "state")],
        )
    )
