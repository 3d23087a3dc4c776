"""The verb that scores what lies in a dataset already."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from include.cli.options import Day, Json, ProjectName, Version
from include.cli.terminal import reporting
from include.cli.workplace import Workplace
from include.contracts import Contract

app = typer.Typer()


@app.command("predict-batch")
@reporting
def predict_batch(
    project: ProjectName,
    day: Day = "",
    version: Version = None,
    champion_at: Annotated[
        datetime | None, typer.Option(help="Ask the release that answered then, in UTC; the one of now unless given.")
    ] = None,
    as_json: Json = False,
) -> Contract:
    """Let the champion answer every image of one day, and publish the answers with what they were made of."""
    from include.data.arrivals import SNAPSHOT
    from include.deployment.batch import find_champion, score_partition

    workplace = Workplace.open(project)
    moment = champion_at.replace(tzinfo=UTC) if champion_at else datetime.now(UTC)
    release = find_champion(workplace.ledger, project, moment)
    partition = SNAPSHOT if workplace.project.source.snapshot else day
    return score_partition(workplace.find_dataset(version), partition, release, workplace.store, workplace.ledger)
