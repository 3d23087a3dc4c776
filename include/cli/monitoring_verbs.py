"""Verbs that look at a model in service."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from include.cli.options import Json, ProjectName
from include.cli.terminal import reporting
from include.cli.workplace import Workplace

app = typer.Typer()


@app.command()
@reporting
def monitor(
    project: ProjectName,
    minutes: Annotated[
        int | None, typer.Option(min=1, help="Length of the window that ends now; the project file's unless given.")
    ] = None,
    as_json: Json = False,
) -> Any:
    """Measure drift and accuracy of the last minutes; what differs opens an episode, whose cause is then named."""
    workplace, end = Workplace.open(project), datetime.now(UTC)
    window = timedelta(minutes=minutes or workplace.project.monitoring.window_minutes)
    return watch_window(workplace, end - window, end)


@app.command()
@reporting
def episodes(
    project: ProjectName,
    limit: Annotated[int, typer.Option(min=1, help="Most episodes, the newest first.")] = 10,
    as_json: Json = False,
) -> Any:
    """List the episodes in which the world differed: windows, cause, what was done, the outcome; and the trainings."""
    from include.ledger.episodes import list_episodes
    from include.ledger.retrainings import list_retrainings

    ledger = Workplace.open(project).ledger
    trainings = [
        {
            "occasion": one.occasion,
            "reason": one.request.reason,
            "mode": one.request.mode,
            "asked_at": one.asked_at.isoformat(),
            "run": one.run,
            "outcome": one.outcome or ("under way" if one.run else "asked for"),
        }
        for one in list_retrainings(ledger, project, limit)
    ]
    known = list_episodes(ledger, project, limit)
    told = [one.model_dump(mode="json", exclude={"drift", "performance"}) for one in known]
    return {"episodes": told, "trainings": trainings}


def watch_window(workplace: Workplace, start: datetime, end: datetime) -> dict[str, Any]:
    """Measure one window; where an episode is open, say why the window differs and what follows."""
    from include.monitoring import series
    from include.monitoring.drift import detect_drift
    from include.monitoring.episodes import record_window
    from include.monitoring.performance import measure_performance
    from include.monitoring.profile import profile_predictions

    project, store, ledger = workplace.project, workplace.store, workplace.ledger
    profile = profile_predictions(project, start, end, store)
    series.record_profile(store, profile)
    drift = detect_drift(project, profile, store)
    performance = measure_performance(project, profile, store, drift)
    series.record_performance(store, performance)
    for report in (drift, performance):
        record_window(project, report, ledger)
    found = {"drift": drift, "performance": performance} | _explain(workplace, drift, performance)
    return {name: report.model_dump(mode="json") for name, report in found.items()}


def _explain(workplace: Workplace, *measured: Any) -> dict[str, Any]:
    from include.ledger.episodes import record_diagnosis
    from include.monitoring.decision import decide_action
    from include.monitoring.diagnosis import diagnose
    from include.monitoring.episodes import choose_window, find_drift, settle_action

    project, ledger = workplace.project, workplace.ledger
    episode = find_drift(project.name, ledger)
    if episode is None:
        return {}
    drift, performance = choose_window(episode, *measured)
    diagnosis = diagnose(project, episode.id, drift, performance, workplace.store)
    record_diagnosis(ledger, diagnosis)
    decision = decide_action(diagnosis, project, performance)
    settle_action(decision, diagnosis, project, ledger, workplace.run)
    return {"diagnosis": diagnosis, "decision": decision}
