"""Charts as services like this one often give them: a view of Django that makes them from the objects of its ORM.

Run by gunicorn with DATABASE_URL, and CONN_MAX_AGE: for how many seconds a connection is kept, 0 as Django is shipped.
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
    SECRET_KEY="of nothing",
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


def take_over() -> None:
    """The factories of the service, with the same ids, into tables of Django's own."""
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
    take_over()
