"""Commands about factories, their production, and sprockets."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quintet.cli.chart import draw_chart, legend, sparkline, width_in_points
from quintet.cli.connection import connect
from quintet.cli.options import Json, Since, Until, parse_moment, parse_optional_moment
from quintet.cli.output import Column, colored, is_terminal, iso, plain, print_json, print_table, to_document
from quintet.cli.progress import transfer_bar

if TYPE_CHECKING:
    from quintet.models import Bucket, Chart

FactoryId = Annotated[int, typer.Argument(metavar="ID", help="ID of the factory.")]
_SPARKLINE_POINTS = 24


def list_factories(as_json: Json = False) -> None:
    """List factories with their newest production."""
    with connect() as client:
        factories = list(client.factories.list(newest=_SPARKLINE_POINTS))
    if as_json:
        print_json([{"id": f.id, "name": f.name, "newest": _newest_document(f.chart)} for f in factories])
        return
    columns = [
        Column("ID", True), Column("NAME", may_shrink=True), Column("ACTUAL", True), Column("GOAL", True),
        Column("LAST POINT"), Column(f"LAST {_SPARKLINE_POINTS} POINTS"),
    ]  # fmt: skip
    rows = []
    for factory in factories:
        newest = _newest(factory.chart)
        time, actual, goal = newest or (None, None, None)
        rows.append(
            (str(factory.id), factory.name, actual, goal, time, colored(sparkline(factory.chart.actual), "cyan"))
        )
    print_table(columns, rows, empty="There are no factories.")


def _newest(chart: "Chart") -> tuple[datetime, int, int] | None:
    return (chart.time[-1], chart.actual[-1], chart.goal[-1]) if len(chart) else None


def _newest_document(chart: "Chart") -> object:
    newest = _newest(chart)
    return newest and to_document(dict(zip(("time", "actual", "goal"), newest, strict=True)))


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the factory.")],
    as_json: Json = False,
) -> None:
    """Create a factory and print its ID."""
    with connect() as client:
        factory = client.factories.create(name)
    if as_json:
        print_json({"id": factory.id, "name": name})
    else:
        typer.echo(factory.id)


def record(
    factory_id: FactoryId,
    time: Annotated[str, typer.Argument(metavar="TIME", help="2026-11-27T10:00:00Z, Unix seconds or now.")],
    actual: Annotated[int, typer.Argument(metavar="ACTUAL", help="Sprockets that were produced.")],
    goal: Annotated[int, typer.Argument(metavar="GOAL", help="Sprockets that were planned.")],
    as_json: Json = False,
) -> None:
    """Record the production of one time.

    It is in the chart within a second. Of several records of the same time, the last one counts.
    """
    moment = parse_moment(time, "TIME")
    with connect() as client:
        accepted = client.factories(factory_id).record([(moment, actual, goal)])
    if as_json:
        print_json({"accepted": accepted})
    else:
        typer.echo(f"Recorded {actual:,} of {goal:,} at {iso(moment)}")


def chart(
    factory_id: FactoryId,
    since: Since = None,
    until: Until = None,
    points: Annotated[
        int | None, typer.Option(min=6, metavar="COUNT", help="At most COUNT points, among them the extremes.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print time,actual,goal.")] = False,
    as_json: Json = False,
) -> None:
    """Draw the production of a factory and its goal.

    Into a pipe, prints all points: time, actual and goal, separated by tabs.
    """
    if as_csv and as_json:
        raise typer.BadParameter("--csv and --json must not be used together")
    start, end = parse_optional_moment(since, "--from"), parse_optional_moment(until, "--to")
    is_drawn = is_terminal() and not (as_csv or as_json)
    if points is None and is_drawn:
        points = width_in_points()
    with connect() as client:
        factory = client.factories(factory_id)
        data = factory.chart(start=start, end=end, points=points)
        buckets = factory.attainment("1w", start=start, end=end) if is_drawn else []
    if as_json:
        print_json({"id": factory_id, "points": [*_point_documents(data)]})
    elif as_csv or not is_drawn:
        _print_points(data, separator="," if as_csv else "\t", has_heading=as_csv)
    elif not len(data):
        typer.echo("There is no production in this time.", err=True)
    else:
        draw_chart(data)
        typer.echo(f"\nFactory {factory_id}: {legend()}")
        typer.echo(_summary(buckets))


def _summary(buckets: "list[Bucket]") -> str:
    actual, goal = sum(bucket.actual for bucket in buckets), sum(bucket.goal for bucket in buckets)
    ratio = f" ({100 * actual / goal:.1f} %)" if goal > 0 else ""
    missed = sum(bucket.missed for bucket in buckets)
    return f"Produced {actual:,} of {goal:,}{ratio}; {missed:,} {'point' if missed == 1 else 'points'} below the goal"


def _point_documents(data: "Chart") -> Iterator[dict[str, object]]:
    for time, actual, goal in data.points():
        yield {"time": iso(time), "actual": actual, "goal": goal}


def _print_points(data: "Chart", *, separator: str, has_heading: bool) -> None:
    if has_heading:
        print("time", "actual", "goal", sep=separator)
    for point in data.points():
        print(*map(plain, point), sep=separator)


def load(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="A JSON or CSV file.")
    ],
    into: Annotated[
        int | None, typer.Option("--into", metavar="ID", help="Load CSV (time,actual,goal) into this factory.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Load a file of factories or sprockets, or points of one factory.

    Entries that were loaded before are skipped.
    """
    with connect() as client:
        with transfer_bar("Uploading") as on_progress:
            if into is None:
                task = client.factories.load(file, on_progress=on_progress)
            else:
                task = client.factories(into).load_csv(file, on_progress=on_progress)
        status = task.wait()
    if as_json:
        print_json(status)
        return
    counts = {"factories": status.factories, "sprockets": status.sprockets, "points": status.points}
    shown = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing new"
    typer.echo(f"Loaded {shown} from {file.name}" + (f"; skipped {status.skipped:,}" if status.skipped else ""))


def list_sprockets(as_json: Json = False) -> None:
    """List sprockets."""
    with connect() as client:
        sprockets = list(client.sprockets.list())
    if as_json:
        print_json(sprockets)
        return
    columns = [Column(name, True) for name in ("ID", "TEETH", "PITCH DIAMETER", "OUTSIDE DIAMETER", "PITCH")]
    rows = [(str(s.id), s.teeth, s.pitch_diameter, s.outside_diameter, s.pitch) for s in sprockets]
    print_table(columns, rows, empty="There are no sprockets.")


def add_sprocket(
    teeth: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Required.")],
    pitch_diameter: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Required.")],
    outside_diameter: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Required.")],
    pitch: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Required.")],
    as_json: Json = False,
) -> None:
    """Add a sprocket and print its ID."""
    with connect() as client:
        sprocket = client.sprockets.create(
            teeth=teeth, pitch_diameter=pitch_diameter, outside_diameter=outside_diameter, pitch=pitch
        )
    if as_json:
        print_json(sprocket)
    else:
        typer.echo(sprocket.id)
