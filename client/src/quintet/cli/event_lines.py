"""Events as lines: wrapped for people, tab-separated for pipes, or JSON."""

import json
import shutil
from datetime import datetime
from typing import TYPE_CHECKING

import typer

from quintet.cli.output import folded, is_terminal, iso, local_time, print_json_line, printable, styled

if TYPE_CHECKING:
    from quintet.models import Event


class EventPrinter:
    """Prints events one by one, so that each is visible immediately."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._is_terminal = is_terminal()

    def print(self, event: "Event") -> None:
        if self._as_json:
            print_json_line(event)
            return
        payload = "(erased)" if event.payload is None else json.dumps(event.payload, ensure_ascii=False)
        if self._is_terminal:
            typer.echo(_for_people(event, printable(payload)))
        else:
            cells = (iso(event.received_at), str(event.position), event.name, event.id, payload)
            print("\t".join(map(printable, cells)), flush=True)


def _for_people(event: "Event", payload: str) -> str:
    """Return one line if the payload fits, or else the payload below it, folded at the width of the terminal."""
    width = shutil.get_terminal_size().columns
    time, position, name = _time(event.received_at), f"#{event.position}", printable(event.name)
    heading = f"{styled(time, dim=True)}  {styled(position, fg='cyan')}  {styled(name, bold=True)}"
    if len(f"{time}  {position}  {name}  {payload}") <= width:
        return f"{heading}  {payload}"
    return "\n".join([heading, *folded(payload, width)])


def _time(moment: datetime) -> str:
    local = moment.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == datetime.now().astimezone().date() else local_time(moment)
