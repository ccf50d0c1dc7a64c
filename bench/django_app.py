"""Charts as a typical Django service provides them: a view that creates them from the objects of the ORM.

Gunicorn runs it with DATABASE_URL and CONN_MAX_AGE, the seconds for which a connection is kept (0 is Django's default).
"""

import os
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models
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
            "CONN_MAX_AGE": int(os.environ.get("CONN_MAX_AGE") or 0),
        }
    },
)
django.setup()


class Factory(models.Model):
    name = models.TextField()

    class Meta:
        app_label = "bench"
        db_table = "factory_of_django"


class Point(models.Model):
    factory = models.ForeignKey(Factory, models.CASCADE, related_name="points")
    time = models.BigIntegerField()
    actual = models.BigIntegerField()
    goal = models.BigIntegerField()

    class Meta:
        app_label = "bench"
        db_table = "point_of_django"
        ordering = ("time",)


def chart(_request: HttpRequest, factory_id: int) -> JsonResponse:
    factory = get_object_or_404(Factory, pk=factory_id)
    points = list(factory.points.all())
    data = {
        "sprocket_production_actual": [point.actual for point in points],
        "sprocket_production_goal": [point.goal for point in points],
        "time": [point.time for point in points],
    }
    return JsonResponse({"id": factory.id, "name": factory.name, "factory": {"chart_data": data}})


urlpatterns = [path("api/factory/<int:factory_id>", chart)]
app = get_wsgi_application()


def copy_factories() -> None:
    """Copy the factories of the service, with the same IDs, into Django's tables."""
    with connection.schema_editor() as editor:
        editor.create_model(Factory)
        editor.create_model(Point)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO factory_of_django (id, name) SELECT id, name FROM factory.factories")
        cursor.execute(
            "INSERT INTO point_of_django (factory_id, time, actual, goal) "
            "SELECT factory_id, time, actual, goal FROM factory.points"
        )
        cursor.execute("ANALYZE factory_of_django, point_of_django")


if __name__ == "__main__":
    copy_factories()
