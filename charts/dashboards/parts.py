"""What the dashboards are made of: their frame, variables, annotations and few kinds of panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.models import common, dashboard

UID = "minga-{name}"
SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH = 24
HEIGHT = 8


@dataclass(frozen=True)
class Query:
    """One PromQL expression and the legend of its series."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A panel: a curve over time, or (``now``) the last value as a number."""

    title: str
    description: str
    queries: Sequence[Query]
    unit: str = "short"
    width: int = 8
    now: bool = False
    stacked: bool = False
    bad_above: float | None = None
    """The value from which it is shown in red."""
    maximum: float | None = None
    colours: Mapping[str, str] = field(default_factory=dict)
    """By legend, where a colour means something."""


@dataclass(frozen=True)
class Variable:
    """A choice among the values of a label, from a metric that has it."""

    name: str
    label: str
    query: str
    several: bool = True


@dataclass(frozen=True)
class Annotation:
    """A mark on all curves while an expression has a value of 1 or more: Grafana passes over those below."""

    name: str
    expression: str
    colour: str
    text: str
    """Shown with the mark; with labels as in a legend."""


class _AnnotationQuery(dashboard.AnnotationQuery):
    """With the text that Grafana's Prometheus shows, which the SDK's type does not know."""

    text: str = ""

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "textFormat": self.text}


class _AnnotationBuilder(dashboards.AnnotationQuery):
    def __init__(self, text: str) -> None:
        super().__init__()
        self._internal = _AnnotationQuery()
        self._internal.text = text


def build(
    name: str,
    title: str,
    description: str,
    variables: Sequence[Variable],
    annotations: Sequence[Annotation],
    rows: Sequence[tuple[str, Sequence[Panel]]],
) -> dashboards.Dashboard:
    """A whole dashboard of titled rows."""
    board = (
        dashboards
        .Dashboard(title)
        .uid(UID.format(name=name))
        .description(description)
        .tags(["minga"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(dashboards.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .link(
            dashboards
            .DashboardLink("Minga")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags(["minga"])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in variables:
        board.with_variable(_variable(variable))
    for annotation in annotations:
        board.annotation(
            _AnnotationBuilder(annotation.text)
            .name(annotation.name)
            .datasource(SOURCE)
            .enable(True)
            .icon_color(annotation.colour)
            .expr(annotation.expression)
        )
    for heading, panels in rows:
        board.with_row(dashboards.Row(heading))
        for panel in panels:
            board.with_panel(_stat(panel) if panel.now else _curve(panel))
    return board


def _variable(variable: Variable) -> dashboards.QueryVariable:
    built = (
        dashboards
        .QueryVariable(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query(variable.query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )
    if variable.several:
        built.multi(True).include_all(True).all_value(".*")
    return built


def _targets(panel: Panel) -> list[prometheus.Dataquery]:
    return [
        prometheus
        .Dataquery()
        .expr(query.expression)
        .legend_format(query.legend)
        .ref_id(chr(ord("A") + number))
        .datasource(SOURCE)
        for number, query in enumerate(panel.queries)
    ]


def _thresholds(panel: Panel) -> dashboards.ThresholdsConfig:
    steps = [dashboard.Threshold(value=None, color="green")]
    if panel.bad_above is not None:
        steps.append(dashboard.Threshold(value=panel.bad_above, color="red"))
    return dashboards.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _curve(panel: Panel) -> timeseries.Panel:
    built = (
        timeseries
        .Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .min(0)
        .span(panel.width)
        .height(HEIGHT)
        .line_width(1.5)
        .fill_opacity(30 if panel.stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .thresholds(_thresholds(panel))
        .legend(
            common_builders
            .VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common_builders
            .VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    if panel.maximum is not None:
        built.max(panel.maximum)
    if panel.bad_above is not None:
        built.thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.LINE)
        )
    for legend, colour in panel.colours.items():
        fixed = {"mode": "fixed", "fixedColor": colour}
        built.override_by_name(legend, [dashboard.DynamicConfigValue(id_val="color", value=fixed)])
    if panel.stacked:
        built.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    for target in _targets(panel):
        built.with_target(target)
    return built


def _stat(panel: Panel) -> stat.Panel:
    built = (
        stat
        .Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .span(panel.width)
        .height(4)
        .thresholds(_thresholds(panel))
        .graph_mode(common.BigValueGraphMode.AREA)
        .color_mode(
            common.BigValueColorMode.VALUE if panel.bad_above is not None else common.BigValueColorMode.NONE
        )
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    for target in _targets(panel):
        built.with_target(target)
    return built
