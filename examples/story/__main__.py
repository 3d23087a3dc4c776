"""Play the story: `python -m examples.story` starts the stack if need be, and leaves it up."""

import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.credentials import load_credentials
from deploy.home import Home, open_home
from deploy.startup import bring_up
from examples.camera import LIVE_SPECIMENS
from examples.story.airflow_client import signed_in
from examples.story.calendar import begin_play
from examples.story.chapters import Story
from examples.story.errors import StoryError
from examples.story.loop import PROJECT
from examples.story.report import write_report
from examples.story.traffic import Traffic
from include.errors import WindhoverError

console = Console(highlight=False)

CHAPTERS = (
    ("Open the curtain", Story.open_curtain),
    ("Backfill history", Story.backfill_history),
    ("Validate the data", Story.read_data_docs),
    ("Train, promote, deploy", Story.turn_the_loop),
    ("Serve healthy traffic", Story.watch_healthy_traffic),
    ("Monitor it", Story.monitor_healthy_traffic),
    ("The lens wears out", Story.wear_the_lens),
    ("Live answers suffer", Story.watch_answers_suffer),
    ("Drift, retrain, redeploy", Story.drift_and_retrain),
    ("Recovered", Story.watch_recovered_traffic),
)


def main() -> int:
    """Play every chapter; 0 only if each one really happened."""
    home = open_home()
    try:
        with only_one(home.root / "story.lock"):
            bring_up(home, console)
            return play(home)
    except (StoryError, WindhoverError) as error:
        console.print(f"[red]The story stopped:[/] {error}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print(
            "\nInterrupted. Nothing is lost: `make demo` plays on, `make status` shows the stack, `make down` stops it."
        )
        return 130


def play(home: Home) -> int:
    """Play on a running stack and print what was measured."""
    started, rows = time.monotonic(), []
    credentials = load_credentials(home)
    with signed_in(home.airflow_url, credentials.admin_password) as airflow:
        landing = Path(home.locations()["WINDHOVER_LANDING"])
        traffic = Traffic(home.serving_url, credentials.serving_token, PROJECT, LIVE_SPECIMENS)
        story = Story(airflow, traffic, landing, begin_play(home.root / "story.json"))
        for title, chapter in CHAPTERS:
            begun = time.monotonic()
            with console.status(f"{title} …") as status:
                airflow.watch = lambda text, title=title, status=status: status.update(f"{title} … [dim]{text}[/]")
                fact = chapter(story)
            rows.append({"title": title, "fact": fact, "seconds": time.monotonic() - begun})
            console.print(f"[green]✓[/] [bold]{title}[/]  {fact}  [dim]{rows[-1]['seconds']:.0f} s[/]", soft_wrap=True)
        picture, page = write_report(story, rows, home.root / "reports")
    close(home, story, picture, page, time.monotonic() - started)
    return 0


def close(home: Home, story: Story, picture: Path, page: Path, seconds: float) -> None:
    """Print the closing table and where to look next."""
    table = Table(title=f"Play {story.play.number}: the loop turned in {seconds:.0f} s", title_justify="left")
    for heading in ("live traffic", "requests", "right", "failed"):
        table.add_column(heading, justify="left" if heading == "live traffic" else "right")
    for name, sample in story.outcome.samples.items():
        table.add_row(name, str(sample.answered), f"{sample.accuracy:.1%}", str(len(sample.failures)))
    console.print(table)
    places = {"Airflow (admin)": home.airflow_url, "MLflow": home.mlflow_url, "Endpoint": home.serving_url}
    for name, address in {**places, **story.outcome.links, "Picture": picture, "Page": f"file://{page}"}.items():
        console.print(f"  {name:<16} {address}", soft_wrap=True)
    console.print(f"  {'Password':<16} in {home.secrets / 'admin_password'}", soft_wrap=True)
    console.print(f"  {'Endpoint token':<16} in {home.secrets / 'serving_token'}, a browser's password", soft_wrap=True)
    console.print("The stack stays up. `make status` shows it, `make down` stops it, `make demo` plays on.")


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Refuse to play twice at once on the same home."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoryError(f"another `make demo` is playing on {path.parent}; wait for it to end") from error
        yield


if __name__ == "__main__":
    sys.exit(main())
