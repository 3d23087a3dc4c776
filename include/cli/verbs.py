"""One verb per stage; the functions are those the operators call, so a stage run by hand gives the same digests."""

from pathlib import Path
from typing import Annotated, Any

import typer

from include.cli.batch_verbs import app as batch_verbs
from include.cli.dataset_verbs import app as dataset_verbs
from include.cli.governance_verbs import app as governance_verbs
from include.cli.incident_verbs import app as incident_verbs
from include.cli.learning_verbs import app as learning_verbs
from include.cli.monitoring_verbs import app as monitoring_verbs
from include.cli.objective_verbs import app as objective_verbs
from include.cli.options import Day, Json, ProjectName
from include.cli.retirement_verbs import app as retirement_verbs
from include.cli.rollout_verbs import app as rollout_verbs
from include.cli.terminal import reporting
from include.cli.workplace import Workplace
from include.contracts import Contract

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

app.add_typer(batch_verbs)
app.add_typer(dataset_verbs)
app.add_typer(governance_verbs)
app.add_typer(incident_verbs)
app.add_typer(learning_verbs)
app.add_typer(monitoring_verbs)
app.add_typer(objective_verbs)
app.add_typer(retirement_verbs)
app.add_typer(rollout_verbs)


@app.command()
@reporting
def lint(project: ProjectName, as_json: Json = False) -> Contract:
    """Check a project file and show every value, defaults included."""
    return Workplace.open(project).project


@app.command()
@reporting
def validate(project: ProjectName, day: Day = "", as_json: Json = False) -> Contract:
    """Ingest the delivery of one day and hold it against its expectations, without publishing it."""
    return Workplace.open(project).validate(day)


@app.command()
@reporting
def ingest(project: ProjectName, day: Day = "", as_json: Json = False) -> Contract:
    """Ingest, validate and publish the delivery of one day."""
    return Workplace.open(project).ingest(day)


@app.command()
@reporting
def train(project: ProjectName, as_json: Json = False) -> Contract:
    """Train a candidate on the newest dataset version."""
    return Workplace.open(project).train()


@app.command()
@reporting
def evaluate(project: ProjectName, as_json: Json = False) -> Contract:
    """Measure the newest candidate on the sealed test split."""
    workplace = Workplace.open(project)
    candidate = workplace.find_candidate()
    return workplace.evaluate(candidate, candidate.dataset)


@app.command()
@reporting
def decide(project: ProjectName, as_json: Json = False) -> Contract:
    """Measure the newest candidate and the champion on the sealed test split, and decide."""
    workplace = Workplace.open(project)
    return workplace.decide(workplace.find_candidate())


@app.command()
@reporting
def register(project: ProjectName, as_json: Json = False) -> Contract:
    """Register the newest candidate, if the last decision promotes it."""
    workplace = Workplace.open(project)
    return workplace.register(workplace.find_candidate())


@app.command()
@reporting
def package(project: ProjectName, as_json: Json = False) -> Contract:
    """Export the version registered last to a release."""
    workplace = Workplace.open(project)
    return workplace.package(workplace.find_certified())


@app.command()
@reporting
def predict(
    project: ProjectName, image: Annotated[Path, typer.Argument(help="An image file.")], as_json: Json = False
) -> Any:
    """Ask the serving process about one image."""
    from include.cli.endpoint import ask_prediction

    workplace = Workplace.open(project)
    settings = workplace.settings
    return ask_prediction(settings.serving_uri, workplace.project.name, image, settings.serving_token)


@app.command()
@reporting
def feedback(
    project: ProjectName,
    request_id: Annotated[str, typer.Argument(help="The request_id that came with a prediction.")],
    label: Annotated[str, typer.Argument(help="What the image really showed.")],
    as_json: Json = False,
) -> Any:
    """Tell the serving process what an answered image showed."""
    from include.cli.endpoint import send_feedback

    workplace = Workplace.open(project)
    settings = workplace.settings
    return send_feedback(settings.serving_uri, workplace.project.name, request_id, label, settings.serving_token)


@app.command()
@reporting
def lifecycle(
    project: ProjectName,
    days: Annotated[list[str], typer.Option("--day", help="A delivered day; give it once per day.")],
    as_json: Json = False,
) -> Any:
    """Run ingest to deploy in this one process, and say how long each stage took."""
    from include.cli.lifecycle import run_lifecycle

    return run_lifecycle(Workplace.open(project), days)
