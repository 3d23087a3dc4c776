"""How a verb ends: one report on stdout, one line on stderr when it fails, and an exit code that says which.

Exit 0: done. 1: the work failed, or a service is down. 2: an argument, a file or the data is bad or missing.
"""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import wraps
from typing import Any, TypeVar

import typer
import yaml
from rich.console import Console

from include.contracts import Contract
from include.errors import ArtifactNotFoundError, ContractViolationError, DataQualityError, WindhoverError

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
BAD_INPUT = (ContractViolationError, ArtifactNotFoundError, DataQualityError)
NO_WRAPPING = 1_000_000
# A line for each request, and lists of what was registered where.
TALKATIVE = ("httpx", "great_expectations", "faiss")

Verb = TypeVar("Verb", bound=Callable[..., Any])


def reporting(verb: Verb) -> Verb:
    """Turn a verb's report into output, and whatever stops it into one line and an exit code."""

    @wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        _start_logging()
        try:
            # Libraries print where they like; stdout belongs to the report.
            with redirect_stdout(sys.stderr):
                report = verb(*args, **kwargs)
        except (WindhoverError, OSError) as error:
            _complain(f"error: {error}")
            raise typer.Exit(EXIT_BAD_INPUT if isinstance(error, BAD_INPUT) else EXIT_FAILED) from error
        except KeyboardInterrupt as error:
            _complain("interrupted; what is finished is kept, run the same command again to go on from there")
            raise typer.Exit(EXIT_INTERRUPTED) from error
        typer.echo(_format(report, as_json=kwargs.get("as_json", False)))

    return run  # type: ignore[return-value]


def _start_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _complain(message: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    console.print(" ".join(message.split()), style="red", markup=False)


def _format(report: Contract | dict[str, Any], *, as_json: bool) -> str:
    document = report.model_dump(mode="json") if isinstance(report, Contract) else report
    if as_json:
        return json.dumps(document)
    # No table: a digest that is folded over two lines cannot be copied.
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=NO_WRAPPING).rstrip()
