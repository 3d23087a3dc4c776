"""Run the embedded stack: `python -m deploy.stack up | down | status | logs | env`."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.errors import StackError
from deploy.health import PartStatus, read_status
from deploy.home import Home, open_home
from deploy.parts import FRONT, TOKEN, name_parts
from deploy.processes import find_processes
from deploy.startup import bring_down, bring_up
from deploy.supervision import Supervisor
from include.errors import WindhoverError

console = Console(highlight=False)
application = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (WindhoverError, OSError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        console.print("interrupted; `make up` goes on from here, `make down` stops what has started")
        raise typer.Exit(130) from error


@application.command()
def up() -> None:
    """Start the stack and wait until every part answers."""
    with _explained():
        bring_up(open_home(), console)


@application.command()
def down() -> None:
    """Stop every process of the stack."""
    with _explained():
        bring_down(open_home(), console)


@application.command()
def status() -> None:
    """Show every part; exit 1 unless all are healthy."""
    with _explained():
        home = open_home()
        if not Supervisor(home).is_running():
            raise StackError(_describe_absence(home))
        parts = read_status(home)
        console.print(_tabulate(home, parts))
        if not all(part.healthy for part in parts):
            raise typer.Exit(1)


@application.command()
def logs(
    part: Annotated[str, typer.Argument(help="One of the parts that `status` shows; all unless given.")] = "",
) -> None:
    """Follow the logs until Ctrl-C."""
    with _explained():
        home = open_home()
        names = name_parts(home.replicas)
        if part and part not in names:
            raise StackError(f"no part {part!r}; the parts are {', '.join(names)}")
        files = [home.logs / f"{name}.log" for name in ([part] if part else names)]
        present = [str(file) for file in files if file.exists()]
        if not present:
            raise StackError(f"no logs in {home.logs}; `make up` starts a stack there")
    os.execvp("tail", ["tail", "-n", "20", "-F", *present])


@application.command()
def env() -> None:
    """Print the stack's locations for a shell: `eval "$(python -m deploy.stack env)"`."""
    with _explained():
        home = open_home()
        for name, value in {**home.locations(), "WINDHOVER_LEDGER_URI": home.database_url("windhover")}.items():
            typer.echo(f"export {name}={shlex.quote(value)}")
        # Read by the shell itself, so that the token is on no screen.
        token = home.secrets / "serving_token"
        typer.echo(f'export {TOKEN}="$(cat {shlex.quote(str(token))})"')


def _describe_absence(home: Home) -> str:
    if left := find_processes(home):
        return f"the supervisor in {home.root} is dead, {len(left)} of its processes live on; `make up` replaces them"
    return f"no stack runs in {home.root}; `make up` starts one"


def _tabulate(home: Home, parts: list[PartStatus]) -> Table:
    total = sum(part.rss_mib for part in parts)
    table = Table(box=None, padding=(0, 1, 0, 0), caption=f"RSS {total:.0f} MB in all")
    for heading in ("part", "state", "pid", "uptime", "restarts", "RSS MB", "URL"):
        table.add_column(heading, no_wrap=True)
    urls = {"postgres": f"127.0.0.1:{home.ports.postgres}", "mlflow": home.mlflow_url}
    urls |= {"api-server": home.airflow_url, FRONT: home.serving_url}
    for part in parts:
        colour = "green" if part.healthy else "red"
        state = f"[{colour}]{part.state}[/]" + (f" {part.detail}" if part.detail else "")
        uptime = f"{part.uptime_seconds:.0f} s" if part.pid else ""
        table.add_row(
            part.name,
            state,
            str(part.pid or ""),
            uptime,
            str(part.restarts),
            f"{part.rss_mib:.0f}",
            urls.get(part.name, ""),
        )
    return table


if __name__ == "__main__":
    application()
