"""`ptzip inspect FILE[::PATH]…`: the contents of a checkpoint and the size of each part."""

import argparse
import functools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import ptzip
from ptzip.cli.batch.flags import TOGETHER, add_batch, named, outcomes, refuse_batch, text_settings
from ptzip.cli.batch.tally import Tally
from ptzip.cli.batch.task import Task
from ptzip.cli.files import checkpoints
from ptzip.cli.pages import HELP as PAGE_HELP
from ptzip.cli.pages import RegistryPage
from ptzip.cli.parser import Paths, count
from ptzip.cli.printing import columns, complain, has_colours, line_width, pour
from ptzip.cli.results import Results
from ptzip.cli.streams import source
from ptzip.errors import EditError
from ptzip.io.sources import split_member, unchanged
from ptzip.io.urls import MEMBER_MARK as MARK
from ptzip.io.urls import is_url, redacted
from ptzip.json_output import report_dict

if TYPE_CHECKING:
    from ptzip.inspecting.report import InspectReport

DESCRIPTION = (
    "Show the format, the keys with their share of the bytes, dtypes, parameters, the names that loading would import, "
    "and what slim would save. FILE::PATH shows one object, as in last.pt::model.model.0.conv.weight; in a tar or zip of "
    "files, FILE::NAME shows one checkpoint, and FILE::NAME::PATH an object in it."
)

VIEWS = {
    "tensors": "name, dtype, shape and bytes of the tensors; numbers of layers become #",
    "tree": "the object, as a tree",
    "records": "all records with their offsets, and what uses each",
    "opcodes": "the pickles, opcode by opcode; with ::PATH those that build one object",
    "map": "what every byte of the file is, also of one that does not open",
}

BYTE = "what the byte there is, decimal or 0x…: its field, opcode or element; several times for several bytes"

WITHIN = "print only --opcodes there: OFFSET:LENGTH (decimal or 0x…) or the name of a record"
EXTRACTED = "write to OUT what is there, or the tensor at a path as .npy"
DUMP = "the bytes there, and what they are: OFFSET, OFFSET:LENGTH or the name of a record"

MAP, TREE, OPCODES, HEX, AT, EXTRACT, PAGE = "map", "tree", "opcodes", "hex", "at", "extract", "html"
BYTES = (MAP, HEX, AT)
"""Views of files that need not open."""

NO_OBJECT = "no such file or directory (an object in a file is FILE::PATH)"


def configure(parser: argparse.ArgumentParser) -> None:
    where = "checkpoints, objects in them, or folders of checkpoints; - is stdin"
    parser.add_argument("files", nargs="*", action=Paths, metavar="FILE[::PATH]", help=where)
    parser.usage = "%(prog)s [VIEW] [options] FILE[::PATH]..."
    view = parser.add_argument_group("views, one at a time").add_mutually_exclusive_group()
    for name, what in VIEWS.items():
        view.add_argument(f"--{name}", dest="view", action="store_const", const=name, help=what)
    view.add_argument("--hex", metavar="WHERE", help=DUMP)
    view.add_argument("--at", action="append", metavar="OFFSET", help=BYTE)
    view.add_argument("--extract", metavar="WHERE", help=EXTRACTED)
    parser.add_argument("-o", "--output", metavar="OUT", help="with --extract: path of the new file, or - for stdout")
    parser.add_argument("-f", "--force", action="store_true", help="with --extract: overwrite an existing output")
    parser.add_argument("--raw", action="store_true", help="with --extract: a record as it is stored, not inflated")
    parser.add_argument("--fields", action="store_true", help="with --map: the fields of every structure, with their values")
    view.add_argument("--html", metavar="OUT", help=PAGE_HELP)
    parser.add_argument("--sizes", action="store_true", help="with --tree: the bytes below each module, each storage once")
    parser.add_argument("--depth", type=count, metavar="N", help="with --tree: only so many levels")
    parser.add_argument("--sort", choices=("size",), help="with --sizes: the largest first")
    parser.add_argument("--stats", action="store_true", help="read every tensor for statistics, with --html")
    parser.add_argument("--values", action="store_true", help="print the values of the tensor at PATH")
    parser.add_argument("--stack", action="store_true", help="print what each of the --opcodes leaves on the stack")
    parser.add_argument("--within", metavar="WHERE", help=WITHIN)
    parser.add_argument("-a", "--all", action="store_true", help="show everything: every tensor, the whole tree, all values")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_batch(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show each file; one that fails does not stop the others."""
    names = [file.path for file in checkpoints(named(arguments, arguments.files))]
    results = Results("inspect", arguments.json)
    is_page_of_all = bool(arguments.html) and len(names) > 1
    if any((_view(arguments) and not is_page_of_all, arguments.values, *(split_member(name)[1] for name in names))):
        refuse_batch(arguments, "is about summaries of whole files: remove it, or the view")
        _show_each(names, arguments, results)
    else:
        _summarise(names, arguments, results)
    return results.end()


def _summarise(names: list[str], arguments: argparse.Namespace, results: Results) -> None:
    """Show the summary of each file."""
    options, shown, tally = {"limits": arguments.limits}, text_settings(not arguments.json), Tally()
    page = RegistryPage(arguments.html) if arguments.html else None
    tasks = [Task("inspect", name, options, shown, _refusal(name, arguments), for_registry=bool(page)) for name in names]
    for found in outcomes(tasks, arguments):
        results.take(found, found.code)
        for fault in found.report.get("faults", ())[:1]:
            complain("error", f"{found.path}: {fault}")
        tally.add(found)
        if page:
            page.add(found)
    if page:
        page.write()
    if not arguments.json:
        tally.show(TOGETHER)


def _refusal(name: str, arguments: argparse.Namespace) -> str:
    """Why a summary cannot even begin; "" where it can."""
    try:
        _check(arguments)
    except EditError as error:
        return str(error)
    return NO_OBJECT if _may_be_object(name, arguments) and not os.path.exists(name) else ""


def _may_be_object(name: str, arguments: argparse.Namespace) -> bool:
    """Whether the user may have meant an object in a file by what is no file."""
    return "::" not in name and not is_url(name) and (":" in os.path.splitdrive(name)[1] or name not in arguments.files[:1])


def _show_each(names: list[str], arguments: argparse.Namespace, results: Results) -> None:
    """Show a view of each file."""
    view = _view(arguments)
    for name in names:
        try:
            _check(arguments)
            if view == EXTRACT:
                _extract(name, arguments, results)
            elif view in BYTES:
                _show_bytes(name, arguments, results)
            else:
                _show_file(name, arguments, results)
        except (ptzip.PtzipError, OSError) as error:
            is_object = isinstance(error, FileNotFoundError) and _may_be_object(name, arguments)
            results.fail(name, EditError(NO_OBJECT) if is_object else error)


def _view(arguments: argparse.Namespace) -> str | None:
    """The view that is wanted; None for the summary, or for the object at a path."""
    valued = {HEX: arguments.hex, AT: arguments.at, EXTRACT: arguments.extract, PAGE: arguments.html}
    found: str | None = arguments.view
    return found or next((name for name, given in valued.items() if given is not None), None)


def _check(arguments: argparse.Namespace) -> None:
    """Raise EditError for flags that do not belong to the view."""
    view = _view(arguments)
    for needed, words, given in (
        (TREE, "--sizes and --depth are", arguments.sizes or arguments.depth is not None),
        (OPCODES, "--stack and --within are", arguments.stack or arguments.within is not None),
        (EXTRACT, "-o, -f and --raw are", arguments.output or arguments.force or arguments.raw),
        (MAP, "--fields is", arguments.fields),
        (PAGE, "--stats is", arguments.stats),
    ):
        if given and view != needed:
            raise EditError(f"{words} about --{needed}: add that")
    if arguments.values and view:
        raise EditError(f"--values shows one tensor: remove --{view}, and name it, as in last.pt::model.0.weight")
    if arguments.sort and not arguments.sizes:
        raise EditError("--sort is about --sizes: add that")
    if view == EXTRACT and (not arguments.output or len(arguments.files) > 1):
        raise EditError("--extract takes one FILE and needs -o OUT, or -o - for stdout")
    if arguments.output == "-" and arguments.json:
        raise EditError("-o - and --json both write to stdout: remove one of them")


def _show_file(name: str, arguments: argparse.Namespace, results: Results) -> None:
    """Show a checkpoint or an object in it. In a tar or zip of files, the path begins with the name of a checkpoint."""
    path, node = split_member(name)
    with ptzip.open(source(path), arguments.limits) as checkpoint:
        path, (member, _, inner) = redacted(path), node.partition(MARK)
        found = checkpoint.collection
        if not node or found is None or (member not in found.checkpoints and found.only):
            _show_checkpoint(path, node, checkpoint, arguments, results)
            return
        with checkpoint.member(member) as one:
            _show_checkpoint(f"{path}{MARK}{member}", inner, one, arguments, results)


def _show_checkpoint(
    path: str, node: str, checkpoint: ptzip.Checkpoint, arguments: argparse.Namespace, results: Results
) -> None:
    view = _view(arguments)
    if view == PAGE:
        _write_page(path, node, checkpoint, arguments, results)
    elif node or view or arguments.values:
        _show_view(path, node, checkpoint, arguments, results)
    else:
        _show_summary(path, checkpoint, results)


def _show_summary(path: str, checkpoint: ptzip.Checkpoint, results: Results) -> None:
    from ptzip.api import inspect_checkpoint  # here and below: what is not shown is not loaded
    from ptzip.render.inspect import lines

    with unchanged(checkpoint.source):
        report = inspect_checkpoint(checkpoint)
    _add(path, report, lines(report), results)


def _add(path: str, report: "InspectReport", shown: Iterable[str], results: Results) -> None:
    """Print what is shown of a report, and the first fault that left something out of it."""
    results.add(path, report.to_dict, shown, code=2 if report.faults else 0)
    for fault in report.faults[:1]:
        complain("error", f"{path}: {fault}")


def _write_page(path: str, node: str, checkpoint: ptzip.Checkpoint, arguments: argparse.Namespace, results: Results) -> None:
    from ptzip.cli.pages import inspect_page, write_page  # as above

    if node:
        raise EditError(f"--html shows the whole file: remove ::{node}")
    report, page = inspect_page(checkpoint, arguments.stats, arguments.limits)
    write_page(page, arguments.html)
    _add(path, report, [f"{path} -> {redacted(arguments.html)}"], results)


def _show_view(path: str, node: str, checkpoint: ptzip.Checkpoint, arguments: argparse.Namespace, results: Results) -> None:
    from ptzip.inspecting.view import NODE, View, view_content, view_dict  # as above
    from ptzip.mapping.where import where
    from ptzip.render.inspect_views import WIDEST, lines
    from ptzip.render.words import UNLIMITED

    within = None if arguments.within is None else where(arguments.within)
    view = View(
        arguments.view or NODE,
        node,
        arguments.all,
        arguments.values,
        arguments.stack,
        within,
        with_sizes=arguments.sizes,
        depth=arguments.depth,
        by_size=arguments.sort == "size",
    )
    with unchanged(checkpoint.source):
        if arguments.json:
            results.add(path, functools.partial(view_dict, checkpoint, view))
        else:
            results.add(
                path, dict, lines(path, view, view_content(checkpoint, view), columns() or WIDEST, line_width() or UNLIMITED)
            )


def _show_bytes(path: str, arguments: argparse.Namespace, results: Results) -> None:
    """Show bytes of a file, which need not be a checkpoint."""
    from ptzip.inspecting.byte_views import AtView, ByteView, byte_view_dict, hex_view, map_view, opened_bytes  # as above
    from ptzip.limits import limits_from
    from ptzip.mapping.locate import locate
    from ptzip.mapping.where import where
    from ptzip.render.byte_views import byte_view_lines, field_row
    from ptzip.render.inspect_views import WIDEST

    limits, width = limits_from(arguments.limits), columns() or WIDEST
    with opened_bytes(source(path), limits) as opened:
        path = redacted(path)
        if arguments.at:
            view: ByteView = AtView(locate(opened, list(map(where, arguments.at)), limits))
        elif arguments.hex is not None:
            view = hex_view(opened, where(arguments.hex), limits, field_row(width))
        else:
            view = map_view(opened, limits, arguments.fields)
        if arguments.json:
            results.add(path, functools.partial(byte_view_dict, opened, view))
        else:
            results.add(path, dict, byte_view_lines(path, view, width, arguments.all, has_colours()))


def _extract(path: str, arguments: argparse.Namespace, results: Results) -> None:
    """Write bytes of a file to another, or to stdout."""
    from ptzip.inspecting.extract import crc_fault, extracted, write_extracted  # as above
    from ptzip.limits import limits_from
    from ptzip.mapping.where import where
    from ptzip.render.byte_views import extract_line

    output = arguments.output
    with extracted(source(path), where(arguments.extract), limits_from(arguments.limits), arguments.raw) as (opened, payload):
        if output == "-":
            pour(payload.chunks(0, payload.length))
        else:
            write_extracted(opened, payload, output, arguments.force)
        if fault := crc_fault(payload):
            complain("warning", f"{path}: {fault}")
    path, output = redacted(path), redacted(output)
    report = report_dict(True, path=path, extracted=arguments.extract, output=output, size=payload.length)
    lines = [extract_line(path, arguments.extract, payload.length, output)] if output != "-" else []
    results.add(path, lambda: report, lines)
