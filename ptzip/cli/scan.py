"""`ptzip scan PATH…`: check whether checkpoints are safe to load.

Settings are read only from the file that `--config` names: a file beside what is scanned may come from the same author.
For the same reason that file must be outside of the folders that are scanned.
"""

import argparse
import contextlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import ptzip
from ptzip.cli.batch.flags import add_batch, named, outcomes, text_settings
from ptzip.cli.batch.tally import Tally
from ptzip.cli.batch.task import Task
from ptzip.cli.files import walk
from ptzip.cli.pages import PAGE_OF_ALL, RegistryPage
from ptzip.cli.parser import Paths, local_file
from ptzip.cli.printing import as_json, complain, show, show_lines
from ptzip.cli.streams import STANDARD
from ptzip.errors import EditError
from ptzip.json_output import envelope
from ptzip.render.messages import message

DESCRIPTION = (
    "Read every pickle in a file as a loader would, and run nothing. One line for each file: OK, REVIEW (unknown code, or a "
    "structure that no regular writer produces), MALICIOUS or UNREADABLE; then the findings. Exit code 0 only if every file is "
    "OK, 3 if one is malicious, else 2 if one is unreadable, else 1 for review."
)

FORMATS = ("text", "json", "sarif")
PRESET_NAMES = (
    "ultralytics",
    "yolov5",
    "lightning",
    "transformers",
    "deepspeed",
    "torchvision",
    "timm",
    "mmengine",
    "sb3",
    "omegaconf",
)
"""The presets of `ptzip.scanning.presets`, which --help does not import."""

FAIL_ON = {
    "never": frozenset[str](),
    "unreadable": frozenset(("unreadable",)),
    "malicious": frozenset(("malicious", "unreadable")),
    "review": frozenset(("review", "malicious", "unreadable")),
}
"""The verdicts that fail, by the word for `--fail-on`; what cannot be read passes only where nothing fails."""

WORDS = {"clean": "OK", "review": "REVIEW", "malicious": "MALICIOUS", "unreadable": "UNREADABLE"}
"""Verdicts as the text has them, in its order."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", action=Paths, metavar="PATH", help="checkpoints, or folders of them; - is stdin")
    parser.add_argument("--format", default="text", choices=FORMATS, help="format of the report (default: text)")
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    fail = "which verdicts the exit code reports: malicious and unreadable, unreadable alone, or none (default: review, all)"
    parser.add_argument("--fail-on", choices=tuple(FAIL_ON), help=fail)
    trust = (
        "a class to allow (module.Name), of which loading makes instances; 'module.Name()' to allow calls with whatever the "
        f"file passes; or a preset: {', '.join(PRESET_NAMES)}"
    )
    parser.add_argument("--trust", nargs="+", action="extend", metavar="NAME", default=[], help=trust)
    config = "read trust and fail-on from a TOML file, outside of the folders to scan; no other file is read for settings"
    parser.add_argument("--config", type=local_file, metavar="FILE", help=config)
    whole = "of large files at URLs, fetch also what no loader unpickles (ptzip help remote)"
    parser.add_argument("--whole", action="store_true", help=whole)
    parser.add_argument("-o", "--output", metavar="FILE", help="write the report to a file; - is stdout")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite an existing output")
    parser.add_argument("--html", metavar="OUT", help=PAGE_OF_ALL)
    parser.add_argument("-v", "--verbose", action="store_true", help="print every finding, also those about one package")
    parser.add_argument("--globals", action="store_true", help="print only the names that the files would import")
    parser.add_argument("--explain", metavar="ID", help="explain a rule, as in --explain PTZ101")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only files that are not OK")
    add_batch(parser)


def run(arguments: argparse.Namespace) -> int:
    """Scan each file; one that fails does not stop the others."""
    if arguments.explain:
        return _explain(arguments.explain)
    try:
        settings = _settings(arguments) if arguments.config else ScanSettings()
        tasks = _tasks(arguments, settings.trust)
        with _report_to(arguments.output, arguments.force):
            return _scan(tasks, arguments, FAIL_ON[arguments.fail_on or settings.fail_on])
    except (EditError, ValueError, OSError) as error:
        complain("error", message(error, ""))
        return 2


def _scan(tasks: list[Task], arguments: argparse.Namespace, failing: frozenset[str]) -> int:
    """Scan all files and print what was found; returns the exit code."""
    tally, code, kept, names = Tally(WORDS), 0, list[dict[str, Any]](), set[str]()
    is_text, page = arguments.format == "text", RegistryPage(arguments.html) if arguments.html else None
    for found in outcomes(tasks, arguments):
        tally.add(found)
        if page:
            page.add(found)
        code = max(code, found.code if found.report["verdict"] in failing else 0)
        if not is_text:
            kept.append(dict(found.report))
        elif arguments.globals:
            names.update(found.report["globals"])
        elif not arguments.quiet or found.code:
            show_lines(found.lines)
    if page:
        page.write()
    if names:
        show("\n".join(sorted(names)))
    elif is_text and not arguments.globals and not arguments.quiet:
        tally.show(fewest=2)
    elif not is_text:
        _show_data(kept, arguments.format)
    if not tally.files and not arguments.files_from and not arguments.shard:
        raise EditError("there is nothing to scan: name a file, or a folder with checkpoints")
    return code


def _show_data(reports: list[dict[str, Any]], form: str) -> None:
    from ptzip.render.sarif import sarif_data  # here, since --help needs none of it

    show(as_json(envelope("scan", reports) if form == "json" else sarif_data(reports, ptzip.__version__)))


@contextlib.contextmanager
def _report_to(output: str | None, overwrite: bool) -> Iterator[None]:
    """Let the report go to a file, which appears when it is complete."""
    if not output or output == STANDARD:
        yield
        return
    import io  # here and below, since most reports are printed

    from ptzip.io.atomic_output import check_overwrite, local_path, new_files  # as above
    from ptzip.io.payloads import BytesPayload, SequentialFile

    with local_path(output, overwrite) as path:
        check_overwrite(path, overwrite)
        with contextlib.redirect_stdout(io.StringIO()) as text:
            yield
        with new_files([path], overwrite=overwrite) as files:
            files.outputs[0].write(SequentialFile([BytesPayload(text.getvalue().encode(errors="backslashreplace"))]))


def _tasks(arguments: argparse.Namespace, trust: tuple[str, ...]) -> list[Task]:
    """What to scan. Raises ValueError for a name that cannot be trusted."""
    given, names = _apart(arguments.trust)
    options = {"trust": [*trust, *names], "whole": arguments.whole, "limits": arguments.limits}
    if options["trust"]:
        from ptzip.scanning.trust import trusted  # most scans trust nothing else

        trusted(options["trust"])
    shown = text_settings(arguments.format == "text", verbose=arguments.verbose)
    files = walk(named(arguments, [*given, *arguments.paths]))
    return [
        Task(
            "scan",
            file.path,
            options,
            shown,
            is_guess=not file.is_named and not file.has_model_suffix,
            for_registry=bool(arguments.html),
        )
        for file in files
    ]


def _apart(words: list[str]) -> tuple[list[str], list[str]]:
    """The files among what follows --trust, which takes all words, and the names.

    A word without a dot or a slash is always a preset, even if the folder has a file of that name.
    """
    paths = [word for word in words if ("." in word or os.path.dirname(word)) and os.path.exists(word)]
    return paths, [word for word in words if word not in paths]


def _explain(rule: str) -> int:
    from ptzip.render.scan import explained  # here, since few ask for it

    try:
        show(explained(rule))
    except ValueError as error:
        complain("error", str(error))
        return 2
    return 0


class ScanSettings(NamedTuple):
    """`trust` are names as for `--trust`, `fail_on` as for `--fail-on`."""

    trust: tuple[str, ...] = ()
    fail_on: str = "review"


SETTINGS = {"trust", "fail-on"}


def _settings(arguments: argparse.Namespace) -> ScanSettings:
    """The settings in the file that `--config` names: in `[tool.ptzip.scan]` of a `pyproject.toml`, in `[scan]` of any other.

    Raises EditError for an unknown or invalid setting, and for a file inside a folder that is scanned.
    """
    file = arguments.config
    for folder in filter(os.path.isdir, [*_apart(arguments.trust)[0], *arguments.paths]):
        root = os.path.realpath(folder)
        with contextlib.suppress(ValueError):  # they are on different drives
            if os.path.commonpath((root, os.path.realpath(file))) == root:
                raise EditError(f"{file} is inside {folder}, which is scanned: copy the settings to a folder that is not")
    path = ("tool", "ptzip", "scan") if os.path.basename(file) == "pyproject.toml" else ("scan",)
    return _checked_settings(_table(file, path), file)


def _table(file: str, path: tuple[str, ...]) -> dict[str, object]:
    """The table of settings. Raises EditError where there is none."""
    import tomllib  # here, since most scans have no settings

    with open(file, "rb") as opened:
        try:
            found: object = tomllib.load(opened)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise EditError(f"{file} cannot be read: {error}") from error
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise EditError(f"{file} has no table [{'.'.join(path)}]")
    return found


def _checked_settings(table: dict[str, object], file: str) -> ScanSettings:
    unknown = sorted(set(table) - SETTINGS)
    if unknown:
        raise EditError(f"{file} sets {unknown[0]}, expected one of {', '.join(sorted(SETTINGS))}")
    trust, fail_on = table.get("trust", []), table.get("fail-on", "review")
    if not isinstance(trust, list) or not all(isinstance(name, str) for name in trust):
        raise EditError(f"{file} sets trust to something other than a list of names")
    if fail_on not in FAIL_ON:
        raise EditError(f"{file} sets fail-on to {fail_on!r}, expected one of {', '.join(FAIL_ON)}")
    return ScanSettings(tuple(trust), str(fail_on))
