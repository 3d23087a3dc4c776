"""Options that several verbs have."""

from typing import Annotated

import typer

ProjectName = Annotated[str, typer.Option("--project", "-p", help="A file of include/projects, without .yaml.")]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON report on stdout.")]
Day = Annotated[
    str, typer.Option("--day", help="A delivered day, YYYY-MM-DD; may be left out where the source has no days.")
]
Version = Annotated[int | None, typer.Option("--version", min=1, help="Dataset version; the newest unless given.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept for good.")]
By = Annotated[str, typer.Option("--by", help="Who asks for it.", envvar="USER")]
