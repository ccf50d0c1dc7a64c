"""Generates the dashboards of Grafana from the lists of panels in `services` and `work`."""
