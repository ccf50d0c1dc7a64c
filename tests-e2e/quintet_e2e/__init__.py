"""Helpers shared by the journeys: a running stack, its clients, and faults to inject."""
