"""Feeds: what a consumer reads in order, the events of one name or all events of a stream."""

from typing import NamedTuple

from chassis.errors import Invalid

# The name of the feed of all events; no event has it.
ALL_NAMES = "*"


class EventLocation(NamedTuple):
    """The location of an event for a consumer.

    `reads_all_names` means that the consumer has an offset for all names, but none for the name of the event.
    """

    stream_id: int
    series_id: int
    name: str
    sequence: int
    position: int
    reads_all_names: bool

    def feed_number(self, requested_name: str | None) -> tuple[int, int]:
        """Return the ID of the feed that is acknowledged, and the number of the event in it.

        If the request has no name, it is for the feed that the consumer uses. An event that was stored under the name
        `*`, before that was invalid, is only in the feed of all names.
        """
        if requested_name not in (None, ALL_NAMES, self.name):
            raise Invalid.field("eventName", f"must be {ALL_NAMES} or {self.name}, the name of the event")
        uses_all_names = self.reads_all_names if requested_name is None else requested_name == ALL_NAMES
        if uses_all_names or self.name == ALL_NAMES:
            return -self.stream_id, self.position
        return self.series_id, self.sequence
