"""`ptzip scan PATH…`: check whether checkpoints are safe to load.

Settings are read only from the file that `--config` names: a file beside what is scanned may come from the same author.
For the same reason that file must be outside of the folders that are scanned.
"""

import argparse
import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import ptzip
from ptzip.cli.files import File, walk
from ptzip.cli.parser import Paths, count
from ptzip.cli.printing import as_json, complain, message, show
from ptzip.cli.streams import STANDARD, is_stdin, source
from ptzip.errors import EditError
from ptzip.io.urls import redacted
from ptzip.json_output import envelope

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

TOGETHER = 16
"""From so many files on, all cores are used: starting a process takes as long as scanning some."""

FAIL_ON = {
    "never": frozenset[str](),
    "unreadable": frozenset(("unreadable",)),
    "malicious": frozenset(("malicious", "unreadable")),
    "review": frozenset(("review", "malicious", "unreadable")),
}
"""The verdicts that fail, by the word for `--fail-on`; what cannot be read passes only where nothing fails."""

CODES = {"clean": 0, "review": 1, "unreadable": 2, "malicious": 3}


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
    parser.add_argument("--config", metavar="FILE", help=config)
    parser.add_argument("-o", "--output", metavar="FILE", help="write the report to a file; - is stdout")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite an existing output")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every finding, also those about one package")
    parser.add_argument("--globals", action="store_true", help="print only the names that the files would import")
    parser.add_argument("--explain", metavar="ID", help="explain a rule, as in --explain PTZ101")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only files that are not OK")
    parser.add_argument(
        "-j", "--jobs", type=count, metavar="N", help="processes for several files (default: all processors for many)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Scan each file; one that fails does not stop the others."""
    if arguments.explain:
        return _explain(arguments.explain)
    try:
        settings = _settings(arguments) if arguments.config else ScanSettings()
        with _report_to(arguments.output, arguments.force):
            reports = list(_reports(arguments, settings.trust))
            _show_all(reports, arguments)
    except (EditError, ValueError, OSError) as error:
        complain("error", message(error, ""))
        return 2
    if not reports:
        complain("error", "there is nothing to scan: name a file, or a folder with checkpoints")
        return 2
    failing = FAIL_ON[arguments.fail_on or settings.fail_on]
    return max(CODES[report.verdict] if report.verdict in failing else 0 for report in reports)


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


def _reports(arguments: argparse.Namespace, trust: tuple[str, ...]) -> Iterator["ptzip.ScanReport"]:
    """The report of each file, shown as it comes."""
    given, names = _apart(arguments.trust)
    files = list(walk([*given, *arguments.paths]))
    scan_one = functools.partial(_scan, trust=(*trust, *names), limits=arguments.limits)
    for report in _scanned(files, scan_one, arguments.jobs):
        if arguments.format == "text" and not arguments.globals:
            _show(report, arguments)
        yield report


def _apart(words: list[str]) -> tuple[list[str], list[str]]:
    """The files among what follows --trust, which takes all words, and the names.

    A word without a dot or a slash is always a preset, even if the folder has a file of that name.
    """
    paths = [word for word in words if ("." in word or os.path.dirname(word)) and os.path.exists(word)]
    return paths, [word for word in words if word not in paths]


ScanOne = Callable[[str], "ptzip.ScanReport"]
"""How one file is scanned, in any process."""


def _scanned(files: list[File], scan_one: ScanOne, jobs: int | None) -> Iterator["ptzip.ScanReport"]:
    """The reports in the order of the files; what a folder holds besides checkpoints has none."""
    workers = jobs or (_cpu_count() if len(files) >= TOGETHER else 1)
    paths = [file.path for file in files]
    is_shared = workers > 1 < len(files) and not any(map(is_stdin, paths))  # workers have no stdin
    found = _together(paths, scan_one, workers) if is_shared else map(scan_one, paths)
    for report, file in zip(found, files, strict=True):
        if file.is_named or file.has_model_suffix or report.verdict != ptzip.Verdict.UNREADABLE:
            yield report


def _cpu_count() -> int:
    from ptzip.io.workers import cpu_count  # here, since a single file does without threads

    return cpu_count()


def _together(paths: list[str], scan_one: ScanOne, count: int) -> Iterator["ptzip.ScanReport"]:
    """The same in several processes; where one of them dies, the remaining files are unreadable."""
    from concurrent.futures import BrokenExecutor  # here, since a single file does not need it

    from ptzip.cli.processes import processes  # as above

    done = 0
    with processes(count) as pool:
        try:
            for report in pool.map(scan_one, paths, chunksize=4):
                yield report
                done += 1
        except BrokenExecutor:
            yield from (_unreadable(path, "the process that scanned it died") for path in paths[done:])


def _scan(path: str, trust: tuple[str, ...], limits: dict[str, int]) -> "ptzip.ScanReport":
    try:
        return ptzip.scan(source(path), trust=trust, limits=limits)
    except OSError as error:
        return _unreadable(path, message(error, redacted(path)))
    except (MemoryError, RecursionError) as error:
        return _unreadable(path, f"reading it takes too much: {error}")


def _unreadable(path: str, reason: str) -> "ptzip.ScanReport":
    return ptzip.ScanReport(redacted(path), ptzip.Verdict.UNREADABLE, reason=reason)


def _show(report: "ptzip.ScanReport", arguments: argparse.Namespace) -> None:
    from ptzip.render.scan import lines  # here and below, since --help needs none of it

    if not arguments.quiet or report.verdict != ptzip.Verdict.CLEAN:
        show("\n".join(lines(report, arguments.verbose)))


def _show_all(reports: list["ptzip.ScanReport"], arguments: argparse.Namespace) -> None:
    """Print what is about all files."""
    if arguments.globals:
        names = sorted({name for report in reports for name in report.globals})
        show("\n".join(names)) if names else None
    elif arguments.format == "json":
        show(as_json(envelope("scan", [report.to_dict() for report in reports])))
    elif arguments.format == "sarif":
        from ptzip.render.sarif import sarif_data  # as above

        show(as_json(sarif_data(reports, ptzip.__version__)))
    elif len(reports) > 1 and not arguments.quiet:
        from ptzip.render.scan import summary  # as above

        show(summary(reports))


def _explain(rule: str) -> int:
    from ptzip.render.scan import explained  # as above

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
