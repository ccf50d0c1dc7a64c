"""How many points are read for a long series, and which series would need too many."""

import pytest

from chassis.errors import Invalid
from chassis.timestamps import load_timezone
from factory_service.domain import buckets
from factory_service.operations import charts
from factory_service.store import charts as store
from factory_service.store import replica

TIME = 1611194818
DAY = 86400


def count_fetched_points(db, read):
    def fetched(tx):
        return tx.value("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'points'")

    def find(tx):
        # Counts of earlier transactions of the connection may not have been reported yet.
        before, _, after = fetched(tx), read(tx), fetched(tx)
        return (after - before,)

    return replica._find(db, replica.Query(find, needs_snapshot=True))[0]


@pytest.mark.parametrize(("count", "step"), [(200_000, 1), (60_000, 60)])
def test_cost_of_a_long_series_follows_the_size_of_the_response(db, a_factory, count, step, insert_series):
    id_ = a_factory(0)
    insert_series(id_, count, step)
    # Both ends are within a quarter hour.
    first, last = TIME + 1234, TIME + count * step - 2345
    for read in (
        lambda tx: charts.find_downsampled(tx, "/chart-data", id_, first, last, 50),
        lambda tx: charts.find_attainment(tx, id_, first, last, 7 * DAY, load_timezone("UTC")),
        lambda tx: charts.find_attainment(tx, id_, first, last, DAY, load_timezone("Asia/Kathmandu")),
    ):
        assert count_fetched_points(db, read) < 2500


def test_outdated_statistics_do_not_make_a_read_scan_the_table(db, a_factory, insert_series):
    deleted, id_ = a_factory(0), a_factory(0)
    with db.transaction() as tx:
        # The statistics say that there is one point, while the index keeps the size that the deleted points needed.
        tx.run(
            "INSERT INTO points SELECT %(id)s, n, 1, 1, 1 FROM generate_series(1, 90000) AS n ORDER BY random()",
            id=deleted,
        )
        tx.run("DELETE FROM points WHERE time > 1")
        tx.run("ANALYZE points")
        tx.run("DELETE FROM points")
    insert_series(id_, 60_000, 60)
    newest_page = {"limit": 10, "offset": 0, "newest": 60, "max_points": 1000}
    assert count_fetched_points(db, lambda tx: tx.rows(store.NEWEST_PAGE, **newest_page)) < 100
    first, last = TIME + 1234, TIME + 60_000 * 60 - 2345
    assert count_fetched_points(db, lambda tx: charts.find_downsampled(tx, "/chart-data", id_, first, last, 50)) < 2500


def test_many_buckets_are_rejected_before_they_are_computed(client, db, a_factory, monkeypatch, insert_series):
    id_ = a_factory(0)
    insert_series(id_, 2990, 900)
    monkeypatch.setattr(charts, "MAX_BUCKETS", 1000)
    monkeypatch.setattr(buckets, "MAX_BUCKETS", 1000)
    path = f"/api/factory/{id_}/attainment"
    assert 990 < len(client.get(f"{path}?bucket=45m").json["buckets"]) <= 1000
    for bucket in ("15m", "30m"):
        response = client.get(f"{path}?bucket={bucket}")
        assert response.status_code == 400
        assert [error["field"] for error in response.json["errors"]] == ["bucket"]

    def read(tx):
        with pytest.raises(Invalid):
            charts.find_attainment(tx, id_, 0, 2**53, 900, load_timezone("UTC"))

    assert count_fetched_points(db, read) < 10


def test_widths_that_need_too_many_points_are_rejected(client, db, a_factory, monkeypatch, insert_series):
    id_ = a_factory(0)
    insert_series(id_, 6000, 60)
    monkeypatch.setattr(charts, "MAX_POINTS", 5000)
    monkeypatch.setattr(buckets, "MAX_POINTS", 5000)
    path = f"/api/factory/{id_}/attainment"
    for bucket in ("1m", "5m", "16m"):
        response = client.get(f"{path}?bucket={bucket}")
        assert response.status_code == 400
        assert response.json["errors"][0]["field"] == "bucket"
        assert "must be a multiple of 15m, or from and to closer" in response.json["errors"][0]["message"]
        assert client.get(f"{path}?bucket={bucket}&to={TIME + 4999 * 60}").status_code == 200
    # Few of these buckets begin within a quarter hour.
    assert client.get(f"{path}?bucket=90001s").status_code == 200


def test_dense_chart_is_downsampled_by_quarter_hours(client, db, a_factory, monkeypatch, insert_series):
    id_ = a_factory(0)
    insert_series(id_, 9000, 1)
    assert len(client.get(f"/api/factory/{id_}/time?points=400").json["time"]) > 200
    monkeypatch.setattr(charts, "MAX_POINTS", 5000)
    times = client.get(f"/api/factory/{id_}/time?points=399").json["time"]
    assert (times[0], times[-1]) == (TIME, TIME + 8999)
    assert 11 * 2 <= len(times) <= 11 * 4 + 2
