"""Verbs that answer for the data: versions, lineage, quarantine, erasure."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from include.cli.options import By, Day, Json, ProjectName, Reason, Version
from include.cli.terminal import reporting
from include.cli.workplace import Workplace
from include.contracts import Contract, ErasureRequest
from include.errors import ContractViolationError

app = typer.Typer()


@app.command()
@reporting
def diff(
    project: ProjectName,
    before: Annotated[int, typer.Argument(min=1, help="A dataset version.")],
    after: Annotated[int, typer.Argument(min=1, help="Another one.")],
    as_json: Json = False,
) -> Contract:
    """List what one dataset version has that another has not, and what was relabelled."""
    from include.data.versions import diff_versions

    workplace = Workplace.open(project)
    return diff_versions(workplace.find_dataset(before), workplace.find_dataset(after), workplace.store)


@app.command()
@reporting
def export(
    project: ProjectName,
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    version: Version = None,
    as_of: Annotated[datetime | None, typer.Option(help="Only what was observed and known by then, in UTC.")] = None,
    as_json: Json = False,
) -> Any:
    """Write a dataset version as one folder per class, with its manifest."""
    from include.data.versions import materialise
    from include.ledger.datasets import record_read

    workplace = Workplace.open(project)
    dataset = workplace.find_dataset(version, as_of)
    materialise(dataset, folder, workplace.store)
    record_read(workplace.ledger, dataset, "export", workplace.run)
    return {"folder": str(folder), "dataset": dataset.model_dump(mode="json")}


@app.command()
@reporting
def trace(
    project: ProjectName,
    image: Annotated[str | None, typer.Option(help="Digest of a stored image, sha256:...")] = None,
    source: Annotated[str | None, typer.Option(help="File it was delivered as, as the column `source` has it.")] = None,
    request: Annotated[str | None, typer.Option(help="The request_id that came with a prediction.")] = None,
    as_json: Json = False,
) -> Any:
    """Follow an image to the versions, models and answers it went into, or an answer back to its data."""
    from include.data.lineage import trace_image, trace_prediction, trace_source

    workplace = Workplace.open(project)
    places = workplace.project.name, workplace.store, workplace.ledger
    if [image, source, request].count(None) != 2:
        raise ContractViolationError("give exactly one of --image, --source and --request")
    if source:
        found = trace_source(places[0], source, *places[1:])
        return {"images": [one.model_dump(mode="json") for one in found]}
    if request:
        return trace_prediction(places[0], request, *places[1:])
    return trace_image(places[0], str(image), *places[1:])


@app.command()
@reporting
def quarantine(
    project: ProjectName,
    day: Day = "",
    to: Annotated[Path | None, typer.Option(help="Folder to write the bytes to, where the project keeps them.")] = None,
    as_json: Json = False,
) -> Any:
    """List the files of a day that were put aside, and why."""
    return Workplace.open(project).list_quarantine(day, to)


@app.command("release")
@reporting
def release_quarantine(project: ProjectName, reason: Reason, by: By, day: Day = "", as_json: Json = False) -> Any:
    """Let the day's last validation pass although it failed; then ingest the day again."""
    return Workplace.open(project).release(day, by, reason)


@app.command()
@reporting
def forget(
    project: ProjectName,
    reason: Reason,
    by: By,
    image: Annotated[list[str] | None, typer.Option(help="Digest of a stored image; once for each.")] = None,
    subject: Annotated[str | None, typer.Option(help="Key of the manifest's column `subject`.")] = None,
    as_json: Json = False,
) -> Contract:
    """Erase images, and every version and file that holds them; they are never taken in again."""
    from include.data.erasure import forget_images

    workplace = Workplace.open(project)
    try:
        request = ErasureRequest(digests=tuple(image or ()), subject=subject, reason=reason, requested_by=by)
    except ValueError as error:
        raise ContractViolationError("give a reason, and digests as sha256: and 64 hexadecimal digits") from error
    places = workplace.store, workplace.ledger, workplace.tracking
    return forget_images(workplace.project, request, *places, holder=f"cli/forget/{by}")


@app.command()
@reporting
def compact(project: ProjectName, as_json: Json = False) -> Any:
    """Write the dataset's small files together, and remove old versions that nothing uses."""
    return Workplace.open(project).compact()


@app.command()
@reporting
def suite(project: ProjectName, as_json: Json = False) -> Any:
    """Write the project's expectations to a file that may be edited; one that is there stays as it is."""
    from include.data.suites import write_suite

    workplace = Workplace.open(project)
    return {"suite": str(write_suite(workplace.project, workplace.settings.projects / "expectations"))}
