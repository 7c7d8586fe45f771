"""What the dashboards are made of: their frame, variables, annotations and few kinds of panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

UID = "minga-{name}"
SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT = 8
COUNT = "locale"
"""The unit of whole things: digits in groups, no fraction, no ``K``."""
RUNBOOKS = "https://minga.dev/runbooks/"
"""Where the runbooks are, unless the chart's ``monitoring.runbooks`` says another place."""


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
    unit: str = COUNT
    width: int = 8
    now: bool = False
    stacked: bool = False
    bad_above: float | None = None
    """The value from which it is shown in red."""
    maximum: float | None = None
    colours: Mapping[str, str] = field(default_factory=dict)
    """By legend, where a colour means something."""
    steps: Sequence[tuple[float, str]] = ()
    """(value, colour from it on), where ``bad_above`` is not enough; the first is for all below."""


@dataclass(frozen=True)
class Alerts:
    """A table of the alerts that fire, each with a link to its runbook."""

    title: str
    description: str
    queries: Sequence[Query]
    columns: Sequence[str]
    """Labels that are shown, in this order, after the alert's name and severity."""


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
    rows: Sequence[tuple[str, Sequence[Panel | Alerts]]],
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
            if isinstance(panel, Alerts):
                board.with_panel(_alerts(panel))
            else:
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


def _targets(panel: Panel | Alerts) -> list[prometheus.Dataquery]:
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
    if panel.steps:
        (_, lowest), *others = panel.steps
        steps = [dashboard.Threshold(value=None, color=lowest)]
        steps += [dashboard.Threshold(value=value, color=colour) for value, colour in others]
        return dashboards.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)
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
    if panel.unit == COUNT:
        built.decimals(0)
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
            common.BigValueColorMode.VALUE
            if panel.steps or panel.bad_above is not None
            else common.BigValueColorMode.NONE
        )
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if panel.unit == COUNT:
        built.decimals(0)
    for target in _targets(panel):
        built.with_target(target)
    return built


def _alerts(panel: Alerts) -> table.Panel:
    shown = ["alertname", "severity", *panel.columns]
    link = {"title": "Runbook", "url": f"{RUNBOOKS}${{__value.raw}}/", "targetBlank": True}
    built = (
        table
        .Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .span(24)
        .height(5)
        .no_value("No alert fires")
        .with_transformation(
            dashboard.DataTransformerConfig(
                id_val="filterFieldsByName", options={"include": {"names": shown}}
            )
        )
        .with_transformation(
            dashboard.DataTransformerConfig(
                id_val="organize",
                options={
                    "indexByName": {name: number for number, name in enumerate(shown)},
                    "renameByName": {name: name.replace("_", " ") for name in shown},
                },
            )
        )
        .override_by_name("alertname", [dashboard.DynamicConfigValue(id_val="links", value=[link])])
    )
    for target in _targets(panel):
        built.with_target(target.format(PromQueryFormat.TABLE).instant())
    return built
