"""Command line of the camera: `python -m examples.camera --help`."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from examples.camera import (
    ARRIVAL_SPECIMENS,
    CLEAN_LENS,
    LIVE_SPECIMENS,
    WORN_LENSES,
    deliver_day,
    label_day,
    true_label,
)
from examples.camera import photograph as take_photograph

app = typer.Typer(help="Photographs handwritten digits, as the world outside the pipeline would.")

Landing = Annotated[Path, typer.Option(envvar="WINDHOVER_LANDING", help="Folder that holds the drop folders.")]
Day = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="UTC day.")]
Worn = Annotated[int, typer.Option(min=0, max=len(WORN_LENSES), help="Which worn lens; 0 is the clean one.")]


@app.command()
def deliver(
    landing: Landing,
    day: Day,
    first: Annotated[int, typer.Option(min=0, help="Where among the arrival specimens to begin.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="How many to photograph; beyond the last, the first follow.")] = 100,
    worn: Worn = 0,
    labelled: Annotated[bool, typer.Option(help="Deliver the labels, too.")] = False,
    corrupt: Annotated[int, typer.Option(min=0, help="Extra files that are no whole image.")] = 0,
    mislabelled: Annotated[int, typer.Option(min=0, help="Labels that are no digit.")] = 0,
) -> None:
    """Drop one day of photographs."""
    specimens = [ARRIVAL_SPECIMENS[index % len(ARRIVAL_SPECIMENS)] for index in range(first, first + count)]
    lens = (CLEAN_LENS, *WORN_LENSES)[worn]
    typer.echo(
        deliver_day(
            landing, day.date(), specimens, lens=lens, labelled=labelled, corrupt=corrupt, mislabelled=mislabelled
        )
    )


@app.command()
def label(landing: Landing, day: Day) -> None:
    """Add the labels to a delivered day."""
    typer.echo(label_day(landing, day.date()))


@app.command()
def photograph(
    folder: Annotated[Path, typer.Argument(help="Where to write the pictures, named by their true label.")],
    count: Annotated[int, typer.Option(min=1, max=len(LIVE_SPECIMENS))] = 10,
    worn: Worn = 0,
) -> None:
    """Take pictures of live specimens, to send to the endpoint by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    for shot, specimen in enumerate(LIVE_SPECIMENS[:count]):
        path = folder / f"{true_label(specimen)}-{specimen:04d}.png"
        path.write_bytes(take_photograph(specimen, (CLEAN_LENS, *WORN_LENSES)[worn], shot))
        typer.echo(path)


if __name__ == "__main__":
    app()
