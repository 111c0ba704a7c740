"""Reports as HTML pages: `--html OUT` of inspect, diff, slim and scan."""

from typing import TYPE_CHECKING

import ptzip
from ptzip.cli.batch.task import Result
from ptzip.errors import EditError
from ptzip.io.payloads import BytesPayload, SequentialFile
from ptzip.io.sources import special, unchanged

if TYPE_CHECKING:
    from pathlib import Path

HELP = "write the report to one HTML page that needs no network (pip install 'ptzip[html]')"

PAGE_OF_ALL = "write an HTML page about all files: verdicts, formats, frameworks, what slim would save, duplicates"

BEGINNING = b"<!doctype html>"
"""How every page begins; nothing else is overwritten."""


def write_page(text: str, name: str) -> None:
    """Write a page atomically. Raises EditError where the file is there and is no page."""
    from ptzip.io.atomic_output import local_path, new_files  # here, since few runs write a page

    _check(name)
    with local_path(name, overwrite=True) as path, new_files([path], None, overwrite=True, sync=False) as files:
        files.outputs[0].write(SequentialFile([BytesPayload(text.encode())]))


def _check(name: str) -> None:
    from pathlib import Path  # as above

    path = Path(name)
    if path.exists() and (special(path) or not _is_page(path)):  # to open a pipe is to wait for its writer
        raise EditError(f"{name} already exists and is not an HTML page: choose another name for --html")


def _is_page(path: "Path") -> bool:
    with path.open("rb") as file:
        return file.read(len(BEGINNING)).lower() == BEGINNING


class RegistryPage:
    """The page about many files, which is written at the end. Raises EditError before the first file where it cannot be."""

    def __init__(self, name: str) -> None:
        from ptzip.inspecting.registry import Registry  # here and below, since few runs have such a page
        from ptzip.render.html.registry import registry_page

        try:
            _check(name)
            registry_page(Registry())
        except ptzip.UnsupportedError as error:
            raise EditError(str(error)) from error
        self._name, self._registry = name, Registry()

    def add(self, found: Result) -> None:
        from ptzip.inspecting.registry import Entry  # as above

        facts = dict(found.registry or {"verdict": "unreadable", "saved": 0})
        storages = [(size, crc) for size, crc in facts.pop("storages", ())]
        self._registry.add(Entry(found.path, size=found.size, **facts), storages)

    def write(self) -> None:
        from ptzip.render.html.registry import registry_page  # as above

        write_page(registry_page(self._registry), self._name)


def inspect_page(
    checkpoint: ptzip.Checkpoint, with_statistics: bool, limits: dict[str, int]
) -> tuple["ptzip.InspectReport", str]:
    """The report on an open checkpoint, and its page: its summary, what slim would do, its scan, and everything in it."""
    from ptzip.inspecting.contents import contents  # here, since a summary on a terminal needs none of it
    from ptzip.render.html.inspect import Inspected
    from ptzip.render.html.inspect import inspect_page as page

    with unchanged(file := checkpoint.source):
        report, scan = ptzip.inspect(file, limits=limits), ptzip.scan(file, limits=limits)
        try:
            slim: ptzip.SlimReport | str = ptzip.slim(file, dry_run=True, scan=False, limits=limits)
        except (ptzip.PtzipError, OSError) as error:
            slim = str(error)
        return report, page(Inspected(report, contents(checkpoint, with_statistics), scan, slim))
