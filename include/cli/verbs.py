"""One verb per stage; the functions are those the operators call, so a stage run by hand gives the same digests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from include.cli.terminal import reporting
from include.cli.workplace import Workplace
from include.contracts import Contract

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

ProjectName = Annotated[str, typer.Option("--project", "-p", help="A file of include/projects, without .yaml.")]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON report on stdout.")]
Day = Annotated[str, typer.Option("--day", help="A delivered day, YYYY-MM-DD.")]


@app.command()
@reporting
def lint(project: ProjectName, as_json: Json = False) -> Contract:
    """Check a project file and show every value, defaults included."""
    return Workplace.open(project).project


@app.command()
@reporting
def ingest(project: ProjectName, day: Day, as_json: Json = False) -> Contract:
    """Ingest, validate and publish the delivery of one day."""
    return Workplace.open(project).ingest(day)


@app.command()
@reporting
def train(project: ProjectName, as_json: Json = False) -> Contract:
    """Train a candidate on the newest dataset version."""
    return Workplace.open(project).train()


@app.command()
@reporting
def decide(project: ProjectName, as_json: Json = False) -> Contract:
    """Measure the newest candidate and the champion on the sealed test split, and decide."""
    return Workplace.open(project).decide()


@app.command()
@reporting
def register(project: ProjectName, as_json: Json = False) -> Contract:
    """Register the newest candidate, if the last decision promotes it."""
    return Workplace.open(project).register()


@app.command()
@reporting
def package(project: ProjectName, as_json: Json = False) -> Contract:
    """Export the newest certified version to a release."""
    return Workplace.open(project).package()


@app.command()
@reporting
def deploy(project: ProjectName, as_json: Json = False) -> Contract:
    """Roll the newest certified version out, wait for the serving process, and crown it or roll back."""
    return Workplace.open(project).deploy()


@app.command()
@reporting
def predict(
    project: ProjectName, image: Annotated[Path, typer.Argument(help="A PNG file.")], as_json: Json = False
) -> Any:
    """Ask the serving process about one image."""
    return Workplace.open(project).predict(image)


@app.command()
@reporting
def monitor(
    project: ProjectName,
    minutes: Annotated[int, typer.Option(min=1, help="Length of the window that ends now.")] = 60,
    as_json: Json = False,
) -> Contract:
    """Hold the predictions of the last minutes against the release's reference."""
    end = datetime.now(UTC)
    return Workplace.open(project).monitor(end - timedelta(minutes=minutes), end)


@app.command()
@reporting
def lifecycle(
    project: ProjectName,
    days: Annotated[list[str], typer.Option("--day", help="A delivered day; give it once per day.")],
    as_json: Json = False,
) -> Any:
    """Run ingest to deploy in this one process, and say how long each stage took."""
    return Workplace.open(project).lifecycle(days)
