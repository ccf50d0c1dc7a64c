"""Rules of specs, plans, flows, schedules and tokens."""
