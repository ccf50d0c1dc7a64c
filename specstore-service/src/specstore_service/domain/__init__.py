"""Rules for specs, plans, flows, schedules and tokens."""
