"""How a verb ends: one report on stdout, one line on stderr when it fails, and an exit code that says which.

Exit 0: done. 1: the work failed. 2: the input was bad.
"""

import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from include.contracts import Contract
from include.errors import ContractViolationError, WindhoverError

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
Verb = TypeVar("Verb", bound=Callable[..., Any])


def reporting(verb: Verb) -> Verb:
    """Turn a verb's report into output, and an error raised on purpose into one line and an exit code."""

    @wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        as_json = kwargs.get("as_json", False)
        try:
            report = verb(*args, **kwargs)
        except WindhoverError as error:
            errors.print(f"{type(error).__name__}: {error}", style="red", markup=False)
            code = EXIT_BAD_INPUT if isinstance(error, ContractViolationError) else EXIT_FAILED
            raise typer.Exit(code) from error
        _show(report, as_json=as_json)

    return run  # type: ignore[return-value]


def _show(report: Contract | dict[str, Any], *, as_json: bool) -> None:
    document = report.model_dump(mode="json") if isinstance(report, Contract) else report
    if as_json:
        typer.echo(json.dumps(document))
        return
    table = Table("", "", show_header=False)
    for key, value in document.items():
        table.add_row(key, value if isinstance(value, str) else json.dumps(value))
    Console().print(table)
