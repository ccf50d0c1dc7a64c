"""The benchmarked requests in Django with its ORM and persistent connections.

Run as a program with DATABASE_URL, it creates its tables; run by gunicorn, it serves them.
"""

import json
import os
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models, transaction
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path

_address = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="unused",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": _address.hostname,
            "PORT": _address.port,
            "USER": _address.username,
            "PASSWORD": unquote(_address.password or ""),
            "NAME": _address.path.lstrip("/"),
            "CONN_MAX_AGE": 60,
        }
    },
)
django.setup()


class Sequence(models.Model):
    name = models.TextField(primary_key=True)
    minimum = models.BigIntegerField()
    size = models.BigIntegerField()
    issued = models.BigIntegerField(default=0)

    class Meta:
        app_label = "bench"


class Stream(models.Model):
    name = models.TextField(primary_key=True)
    position = models.BigIntegerField(default=0)

    class Meta:
        app_label = "bench"


class Event(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid4)
    stream = models.ForeignKey(Stream, models.CASCADE)
    position = models.BigIntegerField()
    producer = models.TextField()
    name = models.TextField()
    body = models.JSONField()

    class Meta:
        app_label = "bench"
        constraints = (models.UniqueConstraint(fields=["stream", "position"], name="bench_event_position"),)


class Factory(models.Model):
    name = models.TextField()

    class Meta:
        app_label = "bench"


class Point(models.Model):
    factory = models.ForeignKey(Factory, models.CASCADE, related_name="points")
    time = models.BigIntegerField()
    actual = models.BigIntegerField()
    goal = models.BigIntegerField()

    class Meta:
        app_label = "bench"
        ordering = ("time",)


MODELS = (Sequence, Stream, Event, Factory, Point)


@transaction.atomic
def issue_numbers(request: HttpRequest, name: str) -> JsonResponse:
    count = int(request.GET.get("n", "1"))
    sequence = Sequence.objects.select_for_update().get(name=name)
    first, sequence.issued = sequence.issued, sequence.issued + count
    sequence.save(update_fields=["issued"])
    numbers = [sequence.minimum + ticket % sequence.size for ticket in range(first, sequence.issued)]
    return JsonResponse({"sequence_no": numbers[0], "sequence_list": numbers})


@transaction.atomic
def append_events(request: HttpRequest, name: str) -> JsonResponse:
    body = json.loads(request.body)
    posted = body if isinstance(body, list) else [body]
    Stream.objects.bulk_create([Stream(name=name)], ignore_conflicts=True)
    stream = Stream.objects.select_for_update().get(name=name)
    producer = request.headers["X-Producer-ID"]
    events = [
        Event(stream=stream, position=position, producer=producer, name=event["event"]["name"], body=event)
        for position, event in enumerate(posted, stream.position + 1)
    ]
    Event.objects.bulk_create(events)
    stream.position += len(events)
    stream.save(update_fields=["position"])
    ids = [str(event.id) for event in events]
    return JsonResponse(ids if isinstance(body, list) else ids[0], safe=False)


def get_chart(_request: HttpRequest, factory_id: int) -> JsonResponse:
    factory = get_object_or_404(Factory, pk=factory_id)
    points = list(factory.points.all())
    data = {
        "sprocket_production_actual": [point.actual for point in points],
        "sprocket_production_goal": [point.goal for point in points],
        "time": [point.time for point in points],
    }
    return JsonResponse({"id": factory.id, "name": factory.name, "factory": {"chart_data": data}})


urlpatterns = [
    path("sequence", issue_numbers, {"name": "sequence"}),
    path("json-sequence", issue_numbers, {"name": "json-sequence"}),
    path("api/v1/streams/<str:name>/events", append_events),
    path("api/factory/<int:factory_id>", get_chart),
]
app = get_wsgi_application()


def create_tables() -> None:
    with connection.schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
    Sequence.objects.create(name="sequence", minimum=1000, size=9000)
    Sequence.objects.create(name="json-sequence", minimum=1, size=999_999_999)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_factory (id, name) SELECT id, name FROM factory.factories")
        cursor.execute(
            "INSERT INTO bench_point (factory_id, time, actual, goal) "
            "SELECT factory_id, time, actual, goal FROM factory.points"
        )
        cursor.execute("ANALYZE bench_factory, bench_point")


if __name__ == "__main__":
    create_tables()
