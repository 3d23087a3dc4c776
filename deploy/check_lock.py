"""Prove, offline, that requirements.txt, requirements.lock and the installed environment agree."""

import re
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from include.settings import REPOSITORY

# What `python -m venv` and the machine bring along; `uv pip sync` leaves them.
BROUGHT_ALONG = {"pip", "setuptools", "wheel"}
_DIRECT = "-r requirements.txt"


def find_disagreements(requirements: Path, lock: Path, installed: dict[str, str]) -> list[str]:
    """Return one line for each thing that does not agree; none when all is well.

    :param installed: Version by canonical name, as `read_installed` gives it.
    """
    direct, problems = _read_direct(requirements.read_text())
    pins, users = _read_lock(lock.read_text())
    problems += _compare_direct(direct, pins, users)
    problems += [f"{name} is locked, yet nothing needs it" for name in sorted(pins.keys() - _reachable(users))]
    return problems + _compare_installed(pins, installed)


def read_installed() -> dict[str, str]:
    """Return what is installed beside this interpreter: version by canonical name."""
    return {
        canonicalize_name(found.metadata["Name"]): found.version
        for found in distributions(path=[sysconfig.get_path("purelib")])
    }


def main() -> int:
    """Check the repository's own files; print every disagreement."""
    problems = find_disagreements(REPOSITORY / "requirements.txt", REPOSITORY / "requirements.lock", read_installed())
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    if problems:
        sys.stderr.write("`make lock` resolves requirements.txt anew, the next `make` installs it\n")
    else:
        sys.stdout.write("requirements.txt, requirements.lock and the environment agree\n")
    return 1 if problems else 0


def _read_direct(text: str) -> tuple[dict[str, Requirement], list[str]]:
    direct: dict[str, Requirement] = {}
    problems: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            continue
        specification, _, reason = line.partition(" #")
        try:
            requirement = Requirement(specification.strip())
        except InvalidRequirement as error:
            problems.append(f"requirements.txt: {specification.strip()!r} is no requirement: {error}".splitlines()[0])
            continue
        direct[canonicalize_name(requirement.name)] = requirement
        if not reason.strip():
            problems.append(f"requirements.txt: {requirement.name} has no reason behind a `#`")
    return direct, problems


def _read_lock(text: str) -> tuple[dict[str, list[Requirement]], dict[str, set[str]]]:
    # A package may be locked several times, each for its own Python version or platform.
    pins: dict[str, list[Requirement]] = {}
    users: dict[str, set[str]] = {}
    name = ""
    for line in text.splitlines():
        if not line.startswith((" ", "#")) and line:
            pin = Requirement(line)
            name = canonicalize_name(pin.name)
            pins.setdefault(name, []).append(pin)
            users.setdefault(name, set())
        elif name and (user := re.sub(r"^\s+#\s+(via\b)?", "", line).strip()):
            users[name].add(user if user == _DIRECT else canonicalize_name(user))
    return pins, users


def _compare_direct(
    direct: dict[str, Requirement], pins: dict[str, list[Requirement]], users: dict[str, set[str]]
) -> list[str]:
    problems = [f"{name} is required, yet not locked" for name in sorted(direct.keys() - pins.keys())]
    problems += [
        f"{requirement} is required, yet locked is {pin}"
        for name, requirement in direct.items()
        for pin in pins.get(name, [])
        if not requirement.specifier.contains(_version(pin), prereleases=True)
    ]
    unasked = {name for name, needed_by in users.items() if _DIRECT in needed_by} - direct.keys()
    return problems + [f"{name} is locked as a direct requirement, yet not required" for name in sorted(unasked)]


def _reachable(users: dict[str, set[str]]) -> set[str]:
    reached = {name for name, needed_by in users.items() if _DIRECT in needed_by}
    while more := {name for name, needed_by in users.items() if needed_by & reached} - reached:
        reached |= more
    return reached


def _compare_installed(pins: dict[str, list[Requirement]], installed: dict[str, str]) -> list[str]:
    wanted = {
        name: _version(pin)
        for name, choices in pins.items()
        for pin in choices
        if pin.marker is None or pin.marker.evaluate()
    }
    problems = [
        f"{name} {version} is locked, installed is {installed.get(name, 'nothing')}"
        for name, version in wanted.items()
        if installed.get(name) != version
    ]
    extra = sorted(installed.keys() - wanted.keys() - BROUGHT_ALONG)
    return problems + [f"{name} {installed[name]} is installed, yet not locked" for name in extra]


def _version(pin: Requirement) -> str:
    return str(pin.specifier).removeprefix("==")


if __name__ == "__main__":
    sys.exit(main())
