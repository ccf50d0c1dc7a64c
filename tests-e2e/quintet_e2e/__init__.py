"""What the journeys share: a running stack, clients of it, and faults to put it through."""
