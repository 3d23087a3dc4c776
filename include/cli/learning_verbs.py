"""Verbs about how models are learned: search settings, and train a version again."""

from pathlib import Path
from typing import Annotated, Any

import typer

from include.cli.options import Json, ProjectName
from include.cli.search import search_settings
from include.cli.terminal import reporting
from include.cli.workplace import Workplace
from include.contracts import Contract
from include.errors import ContractViolationError
from include.storage import Store

app = typer.Typer()


@app.command()
@reporting
def tune(project: ProjectName, as_json: Json = False) -> Any:
    """Search settings on the newest dataset version, and cross-validate the best; `train` then uses them."""
    workplace = Workplace.open(project)
    tuning = workplace.project.tuning
    if not tuning.budget and not tuning.folds:
        raise ContractViolationError(f"{project}: tuning.method is off and tuning.folds is 0; there is nothing to try")
    return search_settings(workplace)


@app.command("import")
@reporting
def import_model(
    project: ProjectName,
    file: Annotated[Path, typer.Argument(help="An .onnx or .safetensors file, its sheet (.yaml) beside it.")],
    as_json: Json = False,
) -> Contract:
    """Make a candidate of a model that was trained elsewhere; `decide` then judges it like any other."""
    from include.training.importing import import_model
    from include.vision.foreign import read_foreign_model

    workplace = Workplace.open(project)
    foreign = read_foreign_model(Store(str(file.absolute().parent)), file.name)
    places = workplace.store, workplace.ledger, workplace.tracking
    return import_model(foreign, workplace.project, workplace.find_dataset(), *places, workplace.run)


@app.command()
@reporting
def reproduce(
    project: ProjectName,
    model: Annotated[int, typer.Option("--model", min=1, help="A registered version.")],
    as_json: Json = False,
) -> Contract:
    """Train a version again from its own dataset, settings and seed; name every input that differs from then."""
    from include.training.reproduction import reproduce_model

    workplace = Workplace.open(project)
    return reproduce_model(workplace.project, model, workplace.store, workplace.ledger, workplace.tracking)
