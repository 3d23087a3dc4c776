"""Charts of a project's page, as Plotly has them, times in UTC.

A colour such as `var(--accent)` gets its value in the browser, where light or dark is chosen.
"""

import math
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.contracts import DriftReport, PerformanceReport, ProfileReport
    from include.monitoring.host import Forecast
    from windhover.ui.overview import Overview

    Window = ProfileReport | DriftReport | PerformanceReport

Figure = dict[str, Any]
MARGIN = {"l": 8, "r": 8, "b": 8}
# As far ahead as the samples look back.
AHEAD_DAYS = 0.25
VERDICTS = {"drift": "var(--bad)", "stable": "var(--second)", "insufficient": "var(--third)"}


def draw_accuracy(view: "Overview") -> Figure:
    """Draw measured accuracy with its interval, what is estimated without labels, and what was certified."""
    reports = view.performances
    measured = [one for one in reports if one.accuracy is not None]
    guessed = [one for one in reports if one.estimate is not None]
    certified = [one for one in reports if one.certified is not None]
    band = _band(guessed, "estimate_low", "estimate_high")
    estimate = _line("estimated, without labels", guessed, "estimate", "var(--third)", dash="dot")
    promise = _line("certified", certified, "certified", "var(--good)", dash="dash", shape="hv")
    dots = _line("measured", measured, "accuracy", "var(--accent)") | {
        "mode": "lines+markers",
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 3, "color": "var(--accent)",
            "array": [_minus(one.high, one.accuracy) for one in measured],
            "arrayminus": [_minus(one.accuracy, one.low) for one in measured],
        },
        "customdata": [[one.labelled] for one in measured],
        "hovertemplate": "%{y:.1%} of %{customdata[0]} labelled<extra>measured</extra>",
    }  # fmt: skip
    return _frame([*band, estimate, promise, dots], _mark(view), {"tickformat": ".0%", "rangemode": "normal"})


def draw_drift(view: "Overview") -> Figure:
    """Draw how far the evidence of drift had come at each window: 1 is an alarm."""
    reports = view.drifts
    dots = _line("evidence", reports, "evidence", "var(--third)") | {
        "mode": "lines+markers", "y": [measure_evidence(one) for one in reports],
        "marker": {"size": 9, "color": [VERDICTS[one.verdict] for one in reports], "line": _pen("var(--card)")},
        "customdata": [[escape(one.summary), one.predictions] for one in reports],
        "hovertemplate": "%{customdata[0]}<br>%{customdata[1]} predictions<extra></extra>",
    }  # fmt: skip
    alarm = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1, "line": _pen("var(--bad)", "dash")}
    marks = _mark(view)
    marks["shapes"].append(alarm)
    figure = _frame([dots], marks, {"tickformat": ".0%", "range": [-0.05, 1.3]})
    figure["layout"] |= {"showlegend": False, "margin": MARGIN | {"t": 8}}
    return figure


def draw_traffic(view: "Overview") -> Figure:
    """Draw requests a minute, and how long the slower ones took."""
    profiles = view.profiles
    rate = _line("answers a minute", profiles, "per_minute", "var(--second)") | {
        "fill": "tozeroy", "fillcolor": "var(--secondveil)"
    }  # fmt: skip
    slow = {
        "type": "scatter", "mode": "lines", "name": "p95 latency, ms", "x": _times(profiles), "yaxis": "y2",
        "y": [one.latency_ms.get("p95") for one in profiles], "line": _pen("var(--accent)"),
    }  # fmt: skip
    figure = _frame([rate, slow], _mark(view), {"rangemode": "tozero"})
    figure["layout"]["yaxis2"] = {
        "overlaying": "y",
        "side": "right",
        "rangemode": "tozero",
        "showgrid": False,
        "automargin": True,
    }
    return figure


def draw_quality(view: "Overview") -> Figure:
    """Draw what became of the files of the last partitions."""
    reports = view.data.quality
    days = [one.partition for one in reports]
    kinds = (("accepted", "var(--second)"), ("duplicates", "var(--third)"), ("quarantined", "var(--accent)"))
    bars = [
        {
            "type": "bar", "name": name, "x": days, "y": [getattr(one, name) for one in reports],
            "marker": {"color": colour},
        }
        for name, colour in kinds
    ]  # fmt: skip
    figure = _frame(bars, {}, {"rangemode": "tozero"})
    figure["layout"]["barmode"] = "stack"
    figure["layout"]["xaxis"]["type"] = "category"
    return figure


def draw_host(view: "Overview") -> Figure:
    """Draw how busy the machine is."""
    parts = (("cpu", "CPU", "var(--accent)"), ("memory", "memory", "var(--second)"), ("disk", "disk", "var(--third)"))
    lines = [
        {"type": "scatter", "mode": "lines", "name": name, "x": [_time(one.at) for one in view.samples],
         "y": [getattr(one, part) for one in view.samples], "line": _pen(colour)}
        for part, name, colour in parts
    ]  # fmt: skip
    lines += [_extend(one, view.samples[-1].at) for one in view.forecasts if one.days]
    return _frame(lines, {}, {"tickformat": ".0%", "range": [0, 1.02]})


def draw_network(view: "Overview") -> Figure:
    """Draw what the machine sends and receives, in bytes a second."""
    lines = [
        {"type": "scatter", "mode": "lines", "name": name, "x": [_time(one.at) for one in view.samples],
         "y": [getattr(one, name) for one in view.samples], "line": _pen(colour)}
        for name, colour in (("received", "var(--second)"), ("sent", "var(--accent)"))
    ]  # fmt: skip
    return _frame(lines, {}, {"rangemode": "tozero", "tickformat": ".2~s", "ticksuffix": "B/s"})


def measure_evidence(report: "DriftReport") -> float:
    """Return how far the evidence has come on a scale of logarithms: 0 is none, 1 and more is an alarm."""
    if report.limit <= 1 or not report.evidence > 1:
        return 1.0 if report.verdict == "drift" else 0.0
    return min(1.25, math.log(report.evidence) / math.log(report.limit))


def _frame(data: list[Figure], marks: Figure, y: Figure) -> Figure:
    axis = {"gridcolor": "var(--line)", "zeroline": False, "automargin": True, "linecolor": "var(--line)"}
    layout = {
        "height": 240, "hovermode": "x unified", "margin": MARGIN | {"t": 30}, "bargap": 0.2,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "var(--soft)"},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"bgcolor": "var(--card)", "bordercolor": "var(--line)", "font": {"color": "var(--ink)"}},
    }  # fmt: skip
    axes = {"xaxis": axis | {"type": "date", "showgrid": False} | marks.pop("xaxis", {}), "yaxis": axis | y}
    return {"data": data, "layout": layout | axes | marks, "empty": not any(trace["x"] for trace in data)}


def _mark(view: "Overview") -> Figure:
    """Mark when another version became champion, and how long each episode lasted, over the same span of time."""
    crowned = [(at, version) for at, version in list_crownings(view) if at >= view.since]
    releases = [_vertical(_time(at)) for at, _ in crowned]
    episodes = [
        _span(max(one.opened_at, view.since), one.closed_at or view.now)
        for one in view.episodes
        if (one.closed_at or view.now) > view.since
    ]
    series: tuple[Sequence[Window], ...] = (view.profiles, view.drifts, view.performances)
    known = [reports[0].start for reports in series if reports]
    begin = min(known, default=view.since)
    # The newest point and its label are not cut off.
    end = view.now + (view.now - begin) / 40
    return {
        "shapes": [*episodes, *releases],
        "annotations": [_label(_time(at), f"v{version}") for at, version in crowned],
        "xaxis": {"range": [_time(begin), _time(end)]},
    }


def list_crownings(view: "Overview") -> list[tuple[datetime, int]]:
    """Return when which version began to answer as champion, oldest first."""
    found: list[tuple[datetime, int]] = []
    for one in reversed(view.service.revisions):
        if one.plan and (not found or found[-1][1] != one.plan.champion.model.version):
            found.append((one.at, one.plan.champion.model.version))
    return found


def _vertical(at: str) -> Figure:
    return {"type": "line", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": _pen("var(--good)", "dot")}


def _span(start: datetime, end: datetime) -> Figure:
    return {
        "type": "rect", "yref": "paper", "x0": _time(start), "x1": _time(end), "y0": 0, "y1": 1, "layer": "below",
        "fillcolor": "var(--badveil)", "line": {"width": 0},
    }  # fmt: skip


def _label(at: str, text: str) -> Figure:
    return {
        "x": at, "y": 0.99, "yref": "paper", "yanchor": "top", "xanchor": "left", "text": text, "showarrow": False,
        "font": {"color": "var(--good)"},
    }  # fmt: skip


def _line(name: str, reports: "Sequence[Window]", part: str, colour: str, **pen: Any) -> Figure:
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": _times(reports),
        "y": [getattr(one, part) for one in reports], "line": _pen(colour, **pen),
    }  # fmt: skip


def _band(reports: "Sequence[Window]", low: str, high: str) -> list[Figure]:
    """Fill what lies between two numbers of each window."""
    edge = {"showlegend": False, "hoverinfo": "skip", "line": {"width": 0}}
    below = _line(low, reports, low, "") | edge
    above = _line(high, reports, high, "") | edge | {"fill": "tonexty", "fillcolor": "var(--thirdveil)"}
    return [below, above]


def _extend(one: "Forecast", last: datetime) -> Figure:
    """Draw how a resource goes on."""
    days = min(one.days or 0.0, AHEAD_DAYS)
    full = one.used + (1 - one.used) * days / (one.days or 1.0)
    return {
        "type": "scatter", "mode": "lines", "name": f"{one.resource}, forecast", "line": _pen("var(--bad)", "dot"),
        "x": [_time(last), _time(last + timedelta(days=days))], "y": [one.used, full],
    }  # fmt: skip


def _pen(colour: str, dash: str = "solid", shape: str = "linear") -> Figure:
    return {"color": colour, "width": 2, "dash": dash} | ({"shape": shape} if shape != "linear" else {})


def _times(reports: "Sequence[Window]") -> list[str]:
    return [_time(one.end) for one in reports]


def _time(at: datetime) -> str:
    # Plotly takes a moment without a zone as it stands.
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _minus(one: float | None, other: float | None) -> float:
    return 0.0 if one is None or other is None else max(0.0, one - other)


FIGURES: dict[str, "Callable[[Overview], Figure]"] = {
    "accuracy": draw_accuracy,
    "drift": draw_drift,
    "traffic": draw_traffic,
    "quality": draw_quality,
    "host": draw_host,
    "network": draw_network,
}
