"""Settings for a project: the table `[tool.ptzip.scan]` of `pyproject.toml`, or `.ptzip.toml` with `[scan]`.

Rule: they are looked for in the folder that ptzip is run in and those above it, never beside the file that is scanned,
which may come from anybody.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import EditError


class ScanSettings(NamedTuple):
    """`trust` are names as for `--trust`, `fail_on` as for `--fail-on`."""

    trust: tuple[str, ...] = ()
    fail_on: str = "review"


PLACES = ((".ptzip.toml", ("scan",)), ("pyproject.toml", ("tool", "ptzip", "scan")))
"""File and table."""

KNOWN = {"trust", "fail-on"}


def scan_settings(start: str) -> ScanSettings:
    """The settings that hold in a folder. Raises EditError where they say something that there is not."""
    for folder in _with_parents(start):
        for name, path in PLACES:
            file = os.path.join(folder, name)
            if os.path.isfile(file):
                found = _table(file, path)
                if found is not None:
                    return _settings(found, file)
    return ScanSettings()


def _with_parents(folder: str) -> Iterator[str]:
    """A folder and those above it."""
    yield folder
    while (above := os.path.dirname(folder)) != folder:
        folder = above
        yield folder


def _table(file: str, path: tuple[str, ...]) -> dict[str, object] | None:
    """The table, or None where there is none. Raises EditError where it is not a table."""
    with open(file, "rb") as opened:
        content = opened.read().decode("utf-8", "replace")
    if not all(name in content for name in path):
        return None
    import tomllib  # here, since most folders have no settings

    try:
        found: object = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise EditError(f"{file} cannot be read: {error}") from error
    for name in path:
        if not isinstance(found, dict):
            raise EditError(f"{file} sets {name} in something that is no table")
        if name not in found:
            return None
        found = found[name]
    if not isinstance(found, dict):
        raise EditError(f"{file} sets {path[-1]} to something that is no table")
    return found


def _settings(table: dict[str, object], file: str) -> ScanSettings:
    unknown = sorted(set(table) - KNOWN)
    if unknown:
        raise EditError(f"{file} sets {unknown[0]}, expected one of {', '.join(sorted(KNOWN))}")
    trust, fail_on = table.get("trust", []), table.get("fail-on", "review")
    if not isinstance(trust, list) or not all(isinstance(name, str) for name in trust):
        raise EditError(f"{file} sets trust to something other than a list of names")
    if fail_on not in ("review", "malicious"):
        raise EditError(f"{file} sets fail-on to {fail_on!r}, expected review or malicious")
    return ScanSettings(tuple(trust), str(fail_on))
