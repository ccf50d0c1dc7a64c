"""Builds dashboards with the Grafana Foundation SDK, and writes them as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

from quintet_observability import services, work
from quintet_observability.panels import Panel

FOLDER = Path(__file__).resolve().parents[1] / "grafana" / "dashboards"
# Grafana's grid has 24 columns: three panels in a row.
_PANEL_WIDTH, _PANEL_HEIGHT = 8, 8
# The data source is a variable, so the dashboards can be imported into any Grafana.
_DATA_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    rows: dict[str, list[Panel]]

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.title.lower()}.json"

    def panels(self) -> Iterable[Panel]:
        return (panel for panels in self.rows.values() for panel in panels)

    def to_json(self) -> str:
        return JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(_build(self).build()) + "\n"


ALL = (
    Dashboard("quintet-services", "Services", services.ROWS),
    Dashboard("quintet-work", "Work", work.ROWS),
)


def write_all() -> None:
    for board in ALL:
        board.file.write_text(board.to_json())


def _build(board: Dashboard) -> dashboard.Dashboard:
    builder = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .tags(["quintet"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("service")
            .label("Service")
            .datasource(_DATA_SOURCE)
            .query("label_values(quintet_build_info, service)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".+")
        )
    )
    for title, panels in board.rows.items():
        builder.with_row(dashboard.Row(title))
        for panel in panels:
            builder.with_panel(_build_panel(panel))
    return builder


def _build_panel(panel: Panel) -> timeseries.Panel:
    builder = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(_DATA_SOURCE)
        .unit(panel.unit)
        .min(0)
        .span(_PANEL_WIDTH)
        .height(_PANEL_HEIGHT)
        .fill_opacity(10)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    for index, (query, legend) in enumerate(panel.queries.items()):
        builder.with_target(
            prometheus.Dataquery().ref_id(chr(ord("A") + index)).expr(query).legend_format(legend).range()
        )
    return builder
