"""The files that pages are drawn with: our own, and Plotly as its package ships it. Nothing comes from elsewhere."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from include.storage import digest_bytes

FOLDER = Path(__file__).parent / "static"
PLOTLY = "plotly.js"
FILES = ("overview.css", "theme.js", "overview.js", PLOTLY, "kestrel.svg")
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def locate_file(name: str) -> Path | None:
    """Return where a file is kept; none for any other name."""
    if name == PLOTLY:
        found = find_spec("plotly")
        places = (found.submodule_search_locations if found else None) or []
        return next(
            (path for place in places if (path := Path(place, "package_data", "plotly.min.js")).is_file()), None
        )
    return FOLDER / name if name in FILES else None


@cache
def name_file(name: str) -> str:
    """Return the address of a file below the pages, which changes with its content, so that it may be kept for good.

    :raises FileNotFoundError: it is not installed.
    """
    path = locate_file(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed; `make install` brings plotly, which has it")
    return f"static/{digest_bytes(path.read_bytes())[7:19]}/{name}"
