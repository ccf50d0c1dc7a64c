"""The configuration of a Prometheus that scrapes this stack, which runs outside of it."""

from collections.abc import Iterable

from quintet_local.layout import Layout

_SCRAPE_CONFIGS = """scrape_configs:
  # The gateway serves the metrics of all programs on one port of this machine.
  - job_name: quintet
    static_configs:
      - targets: [{programs}]
    relabel_configs:
      - source_labels: [__address__]
        regex: (.+)-(web|worker)
        target_label: service
        replacement: $1
      - source_labels: [__address__]
        regex: (.+)-(web|worker)
        target_label: process
        replacement: $2
      - source_labels: [__address__]
        target_label: instance
      - source_labels: [__address__]
        target_label: __metrics_path__
        replacement: /$1/metrics
      - target_label: __address__
        replacement: 127.0.0.1:{port}
"""


def write_configuration(layout: Layout, services: Iterable[str], metrics_port: int | str) -> None:
    """Write the configuration of deploy/observability with the targets of this stack."""
    source = layout.checkout / "deploy" / "observability"
    # Everything between the comment at the beginning and the targets of containers.
    common = (source / "prometheus.yml").read_text().partition("global:")[2].partition("scrape_configs:")[0]
    programs = [f"{service}-{kind}" for service in services for kind in ("web", "worker")]
    scrape_configs = _SCRAPE_CONFIGS.format(programs=", ".join(programs), port=metrics_port)
    text = f"# Written by `make up`.\nglobal:{common.replace('rules/', f'{source}/rules/')}{scrape_configs}"
    (layout.home / "prometheus.yml").write_text(text)
