"""The benchmarked requests in Flask with the ORM of SQLAlchemy, as small services are often written.

Numbers come from sequences of Postgres, one statement each, on a connection that is tested before each use. Run as a
program with DATABASE_URL, it creates its tables; run by gunicorn, it serves them.
"""

import os
from typing import Any
from uuid import UUID, uuid4

from flask import Flask, Response, abort, jsonify, request
from sqlalchemy import JSON, ForeignKey, Sequence, create_engine, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

DATABASE_URL = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg2:")
engine = create_engine(DATABASE_URL, pool_size=8, pool_pre_ping=True)
NUMBERS = {"sequence": (1000, 9999), "json-sequence": (1, 999_999_999)}
app = Flask(__name__)


class Base(DeclarativeBase):
    pass


class Stream(Base):
    __tablename__ = "streams_of_flask"
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]


class Event(Base):
    __tablename__ = "events_of_flask"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    stream: Mapped[str] = mapped_column(ForeignKey("streams_of_flask.name"), index=True)
    position: Mapped[int]
    producer: Mapped[str]
    name: Mapped[str]
    body: Mapped[dict[str, Any]] = mapped_column(JSON)


class Factory(Base):
    __tablename__ = "factories_of_flask"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    points: Mapped[list["Point"]] = relationship(order_by="Point.time")


class Point(Base):
    __tablename__ = "points_of_flask"
    factory_id: Mapped[int] = mapped_column(ForeignKey("factories_of_flask.id"), primary_key=True)
    time: Mapped[int] = mapped_column(primary_key=True)
    actual: Mapped[int]
    goal: Mapped[int]


@app.get("/<any('sequence', 'json-sequence'):name>")
def issue_numbers(name: str) -> Response:
    numbers = []
    for _ in range(int(request.args.get("n", "1"))):
        with engine.connect() as connection:
            numbers.append(connection.scalar(Sequence(f"{name}-of-flask")))
    return jsonify({"sequence_no": numbers[0], "sequence_list": numbers})


@app.post("/api/v1/streams/<name>/events")
def append_events(name: str) -> Response:
    body = request.get_json()
    posted = body if isinstance(body, list) else [body]
    with Session(engine) as session:
        session.execute(insert(Stream).values(name=name, position=0).on_conflict_do_nothing())
        stream = session.scalars(select(Stream).where(Stream.name == name).with_for_update()).one()
        producer = request.headers["X-Producer-ID"]
        events = [
            Event(
                id=uuid4(), stream=name, position=position, producer=producer, name=event["event"]["name"], body=event
            )
            for position, event in enumerate(posted, stream.position + 1)
        ]
        stream.position += len(events)
        ids = [str(event.id) for event in events]
        session.add_all(events)
        session.commit()
    return jsonify(ids if isinstance(body, list) else ids[0])


@app.get("/api/factory/<int:factory_id>")
def get_chart(factory_id: int) -> Response:
    with Session(engine) as session:
        factory = session.get(Factory, factory_id) or abort(404)
        data = {
            "sprocket_production_actual": [point.actual for point in factory.points],
            "sprocket_production_goal": [point.goal for point in factory.points],
            "time": [point.time for point in factory.points],
        }
        return jsonify({"id": factory.id, "name": factory.name, "factory": {"chart_data": data}})


def create_tables() -> None:
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        for name, (minimum, maximum) in NUMBERS.items():
            connection.execute(text(f'CREATE SEQUENCE "{name}-of-flask" MINVALUE {minimum} MAXVALUE {maximum} CYCLE'))
        connection.execute(text("INSERT INTO factories_of_flask SELECT id, name FROM factory.factories"))
        connection.execute(
            text("INSERT INTO points_of_flask SELECT factory_id, time, actual, goal FROM factory.points")
        )
        connection.execute(text("ANALYZE factories_of_flask, points_of_flask"))


if __name__ == "__main__":
    create_tables()
