"""Write the dashboards of Grafana: `make dashboards`."""

from quintet_observability import dashboards

dashboards.write_all()
