"""An import as it is often written: for each row an object of an ORM, a COMMIT, and a progress message to Redis.

The progress is stored under a key and published, as a Celery task does.
"""

import json
import re
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime

import redis
from sqlalchemy import BigInteger, create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
_EXCLUDED_STATES = {"NJ", "CT", "PA", "MA", "IL", "ID", "OR"}


class _Base(DeclarativeBase):
    pass


class _Order(_Base):
    __tablename__ = "orders_of_an_orm"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str]
    email: Mapped[str]
    state: Mapped[str]
    zipcode: Mapped[str]
    birthday: Mapped[date]
    failed: Mapped[str]


def rows_per_second(database_url: str, redis_url: str, lines: Iterable[str]) -> float:
    """Import the lines, which have no header, and return rows per second; rows with existing IDs are skipped."""
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg2:"))
    _Base.metadata.drop_all(engine)
    _Base.metadata.create_all(engine)
    progress = redis.Redis.from_url(redis_url)
    previous, count, started_at = None, 0, time.monotonic()
    with Session(engine) as session:
        for line in lines:
            count += 1
            order = _order(line)
            is_exempt = (order.state, order.zipcode) == previous
            previous = order.state, order.zipcode
            order.failed = "" if is_exempt else ",".join(_failed_rules(order))
            session.add(order)
            try:
                session.commit()
            except IntegrityError:
                session.rollback()
            _publish_progress(progress, count)
    seconds = time.monotonic() - started_at
    _Base.metadata.drop_all(engine)
    engine.dispose()
    return count / seconds


def _publish_progress(progress: redis.Redis, count: int) -> None:
    key, message = "orm-import", {"status": "PROGRESS", "result": {"current": count, "msg": f"{count} orders"}}
    value = json.dumps(message)
    with progress.pipeline() as pipeline:
        pipeline.setex(key, 86400, value)
        pipeline.publish(key, value)
        pipeline.execute()


def _order(line: str) -> _Order:
    id_, name, email, state, zipcode, birthday = line.rstrip("\n").split("|")
    birth_date = datetime.strptime(birthday, "%b %d, %Y").date()
    return _Order(id=int(id_), name=name, email=email, state=state, zipcode=zipcode, birthday=birth_date)


def _failed_rules(order: _Order) -> Iterable[str]:
    today = datetime.now(UTC).date()
    digits = [int(char) for char in order.zipcode if char in "0123456789"]
    violations = {
        "allowed_state": order.state.upper() in _EXCLUDED_STATES,
        "email_pattern": not _EMAIL.fullmatch(order.email),
        "zipcode_sum": sum(digits) > 20,
        "zipcode_length": len(digits) not in (5, 9),
        "email_state": order.state.upper() == "NY" and order.email.lower().endswith(".net"),
        "allowed_age": (today.year - order.birthday.year)
        - ((today.month, today.day) < (order.birthday.month, order.birthday.day))
        < 21,
    }
    return (name for name, is_violated in violations.items() if is_violated)
