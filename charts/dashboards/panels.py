"""What the dashboards are made of: queries, panels, variables.

Every panel has a title, a description and a unit, every query the data source of the variable: the
functions here leave no way around it.
"""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any, Final, NamedTuple, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import xychart as xy
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models
from grafana_foundation_sdk.models import xychart as xy_models

from dashboards.colours import Steps

BOARDS: Final = {
    "distillery-overview": "Distillery / Overview",
    "distillery-experiment": "Distillery / Experiment",
    "distillery-trial": "Distillery / Trial",
    "distillery-operator": "Distillery / Operator",
}
"""Titles by uid, which is the file's name too."""

SOURCE: Final = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")

CLUSTER: Final = 'cluster=~"$cluster"'
"""Of series of several clusters in one Prometheus; without the label it chooses everything."""

Properties = dict[str, Any]
Panel = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel | xy.Panel


class Query(NamedTuple):
    """A question to Prometheus; ``table`` and ``latest`` ask for this moment only."""

    expr: str
    legend: str = ""
    latest: bool = False
    table: bool = False


class Points(NamedTuple):
    """A cloud of points: what two queries say of each value of a label, or of each moment.

    Attributes:
        name: in the legend.
        x, y: the queries.
        by: label that joins them, or ``Time``.
        colour: of the points.
        line: whether they are connected.
    """

    name: str
    x: str
    y: str
    by: str
    colour: str
    line: bool = False


def board(uid: str, description: str, *variables: Any) -> builders.Dashboard:
    """Return a dashboard without panels; the data source is its first variable."""
    made = (
        builders.Dashboard(BOARDS[uid])
        .uid(uid)
        .description(description)
        .tags(["distillery"])
        .readonly()
        .timezone("browser")
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .annotations([])  # see `boards`
        .link(
            builders.DashboardLink("Distillery")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["distillery"])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(
            builders.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
        .with_variable(
            variable(
                "cluster", "Cluster", "label_values(distillery_build_info, cluster)", several=True
            )
        )
    )
    for chosen in variables:
        made = made.with_variable(chosen)
    return made


def filled(made: builders.Dashboard, *panels: Panel, heading: str = "") -> builders.Dashboard:
    """Return a dashboard with further panels, under a heading if there is one."""
    if heading:
        made = made.with_row(builders.Row(heading))
    for panel in panels:
        made = made.with_panel(panel)
    return made


def variable(
    name: str, label: str, query: str, *, several: bool = False, default: str = ""
) -> builders.QueryVariable:
    """Return a choice among values of a label: ``label_values(series, label)``."""
    made = (
        builders.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name, "qryType": 1})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(
            models.VariableSort.NUMERICAL_ASC
            if name == "trial"
            else models.VariableSort.ALPHABETICAL_ASC
        )
    )
    if several:
        return made.multi(True).include_all(True).all_value(".*").current(_option("All", "$__all"))
    return made.current(_option(default, default)) if default else made


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = 8,
    stacked: bool = False,
    dashed: str = "",
    colours: dict[str, str] | None = None,
    repeat: str = "",
) -> timeseries.Panel:
    """Return series over time; those whose name matches ``dashed`` are for comparison."""
    made = (
        _common(timeseries.Panel(), title, description, unit, queries, width)
        .line_width(1)
        .fill_opacity(60 if stacked else 0)
        .show_points(common_models.VisibilityMode.AUTO)
        .legend(_legend(values=True))
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    )
    if stacked:
        made = made.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    if dashed:
        style = {"fill": "dash", "dash": [8, 6]}
        made = made.override_by_regexp(dashed, [_set("custom.lineStyle", style)])
    for name, colour in (colours or {}).items():
        made = made.override_by_name(name, [_colour(colour)])
    if repeat:
        made = made.repeat(repeat).repeat_direction("h").max_per_row(3)
    return made


def number(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = 4,
    names: bool = False,
    steps: Steps = (),
    texts: dict[str, tuple[str, str]] | None = None,
    empty: str = "0",
    colours: dict[str, str] | None = None,
) -> stat.Panel:
    """Return numbers of this moment, or with ``names`` the names of their series.

    Args:
        title: of the panel.
        description: of the panel.
        unit: of the numbers.
        queries: that find them.
        width: of the panel.
        names: whether names of series are shown.
        steps: from which value on which colour; nothing is coloured without any.
        texts: word and colour in the place of a value.
        empty: what stands there where nothing is found.
        colours: of series by a pattern of their names; the last that fits counts.
    """
    mode, colouring = common_models.BigValueTextMode, common_models.BigValueColorMode
    made = _common(stat.Panel(), title, description, unit, queries, width, height=4)
    if texts:
        made = made.mappings([_texts(texts)])
    if steps:
        made = made.thresholds(_thresholds(steps)).color_scheme(_by_threshold())
    for pattern, colour in (colours or {}).items():
        made = made.override_by_regexp(pattern, [_colour(colour)])
    return (
        made.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .color_mode(colouring.BACKGROUND if steps or texts or colours else colouring.NONE)
        .text_mode(mode.NAME if names else mode.AUTO)
        .no_value(empty)
    )


def bars(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = 8,
    most: float | None = None,
    colours: dict[str, str] | None = None,
    steps: Steps = (),
) -> bargauge.Panel:
    """Return a bar for each series of this moment; ``steps`` say from where on which colour."""
    made = (
        _common(bargauge.Panel(), title, description, unit, queries, width)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .min(0)
    )
    made = made.max(most) if most is not None else made
    if steps:
        made = made.thresholds(_thresholds(steps)).color_scheme(_by_threshold())
    for name, colour in (colours or {}).items():
        made = made.override_by_regexp(name, [_colour(colour)])
    return made


def rows(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = 24,
    height: int = 8,
    transformations: Sequence[models.DataTransformerConfig] = (),
    columns: dict[str, Properties] | None = None,
) -> table.Panel:
    """Return a table; ``columns`` has properties of fields by their names."""
    made = _common(table.Panel(), title, description, unit, queries, width, height)
    for transformation in transformations:
        made = made.with_transformation(transformation)
    for name, properties in (columns or {}).items():
        made = made.override_by_name(name, [_set(k, v) for k, v in properties.items()])
    return made


def scatter(
    title: str,
    description: str,
    axes: tuple[tuple[str, str], tuple[str, str]],
    *clouds: Points,
    width: int = 12,
    height: int = 12,
) -> xy.Panel:
    """Return points in a plane; ``axes`` has label and unit of x, then of y."""
    queries = [
        Query(expr, name, table=cloud.by != "Time")
        for cloud in clouds
        for expr, name in ((cloud.x, f"{cloud.name} x"), (cloud.y, cloud.name))
    ]
    (x_label, x_unit), (y_label, y_unit) = axes
    made = _common(xy.Panel(), title, description, y_unit, queries, width, height)
    made = made.mapping(xy_models.SeriesMapping.AUTO).legend(_legend())
    made = made.point_size(xy.XychartFieldConfigPointSize().fixed(8)).axis_label(y_label)
    for place, cloud in enumerate(clouds):
        for transformation in _joined(cloud, *ascii_uppercase[2 * place :][:2]):
            made = made.with_transformation(transformation)
        show = "points+lines" if cloud.line else "points"
        own = [_colour(cloud.colour), _set("custom.show", show)]
        horizontal = [_set("unit", x_unit), _set("custom.axisLabel", x_label)]
        made = made.override_by_name(cloud.name, own)
        made = made.override_by_name(f"{cloud.name} x", horizontal)
    return made.series([_series(cloud.name) for cloud in clouds])


def transform(name: str, options: Properties) -> models.DataTransformerConfig:
    """Return a step between queries and panel."""
    return models.DataTransformerConfig(id_val=name, options=options)


def link(title: str, uid: str, **variables: str) -> Properties:
    """Return links of a field to another dashboard, with variables from fields of the same row."""
    values = "&".join(f"var-{name}=${{{value}}}" for name, value in variables.items())
    url = f"/d/{uid}?${{datasource:queryparam}}&{values}&${{__url_time_range}}"
    return {"links": [{"title": title, "url": url}]}


_Panel = TypeVar("_Panel", timeseries.Panel, stat.Panel, bargauge.Panel, table.Panel, xy.Panel)


def _common(
    panel: _Panel,
    title: str,
    description: str,
    unit: str,
    queries: Sequence[Query],
    width: int,
    height: int = 8,
) -> _Panel:
    panel.title(title).description(description).unit(unit).datasource(SOURCE)
    panel.no_value("none")
    panel.span(width).height(height)
    for ref, query in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(_target(ref, query))
    return panel


def _target(ref: str, query: Query) -> prometheus.Dataquery:
    kind = prometheus_models.PromQueryFormat
    made = prometheus.Dataquery().datasource(SOURCE).ref_id(ref).expr(query.expr)
    made = made.legend_format(query.legend or "__auto")
    made = made.format(kind.TABLE if query.table else kind.TIME_SERIES)
    return made.instant() if query.table or query.latest else made.range()


def _joined(cloud: Points, x: str, y: str) -> list[models.DataTransformerConfig]:
    """Make one frame of a cloud's two queries, whose values are named for the cloud.

    Of these two only, and of what both have: a panel would draw what is missing at zero.
    """
    join = transform("joinByField", {"byField": cloud.by, "mode": "inner"})
    join.filter_val = models.MatcherConfig(id_val="byRefId", options=f"/^({x}|{y})$/")
    names = {f"Value #{x}": f"{cloud.name} x", f"Value #{y}": cloud.name}
    return [join, transform("organize", {"renameByName": names})]


def _series(name: str) -> xy.XYSeriesConfig:
    """Return a cloud by the names of its fields, which one frame alone has, whatever its place."""

    def named(text: str) -> xy.MatcherConfig:
        return xy.MatcherConfig().id("byName").options(text)

    return (
        xy.XYSeriesConfig()
        .name(xy.XychartXYSeriesConfigName().fixed(name))
        .x(xy.XychartXYSeriesConfigX().matcher(named(f"{name} x")))
        .y(xy.XychartXYSeriesConfigY().matcher(named(name)))
    )


def _texts(texts: dict[str, tuple[str, str]]) -> models.ValueMap:
    return models.ValueMap(
        options={
            value: models.ValueMappingResult(text=text, color=colour, index=place)
            for place, (value, (text, colour)) in enumerate(texts.items())
        }
    )


def _thresholds(steps: Steps) -> builders.ThresholdsConfig:
    made = [models.Threshold(value=value, color=colour) for value, colour in steps]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(made)


def _by_threshold() -> builders.FieldColor:
    return builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS)


def _legend(values: bool = False) -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .calcs(["lastNotNull", "max"] if values else [])
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
    )


def _set(name: str, value: object) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val=name, value=value)


def _colour(colour: str) -> models.DynamicConfigValue:
    return _set("color", {"mode": "fixed", "fixedColor": colour})


def _option(text: str, value: str) -> models.VariableOption:
    return models.VariableOption(selected=True, text=text, value=value)
