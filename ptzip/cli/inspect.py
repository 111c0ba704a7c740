"""`ptzip inspect FILE[::PATH]…`: what is in a checkpoint and where its bytes go."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ptzip
from ptzip.cli.printing import as_json, complain, message, show

if TYPE_CHECKING:
    from ptzip.render.inspect import Question

DESCRIPTION = (
    "Show the format, the keys with their share of the bytes, dtypes, parameters, the names that loading would import, "
    "and what slim would save. FILE::PATH shows one object, as in last.pt::model.model.0.conv.weight."
)

VIEWS = {
    "tensors": "name, dtype, shape and bytes of the tensors; numbers of layers become #",
    "tree": "the object, as a tree",
    "records": "what lies where in the file",
    "opcodes": "the pickles, opcode by opcode",
}

MARK = "::"
LINES_AT_ONCE = 1000
"""Long views are printed in pieces of this many lines."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE[::PATH]", help="checkpoints, or objects in them")
    view = parser.add_mutually_exclusive_group()
    for name, what in VIEWS.items():
        view.add_argument(f"--{name}", dest="view", action="store_const", const=name, help=what)
    parser.add_argument("--values", action="store_true", help="print the values of the tensor at PATH")
    parser.add_argument("-a", "--all", action="store_true", help="leave nothing out: every tensor, the whole tree, all values")
    parser.add_argument("--json", action="store_true", help="print all as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Show each file; one that fails does not stop the others."""
    failed, answers = False, list[dict[str, Any]]()
    for name in arguments.files:
        path, _, place = split(name)
        try:
            if arguments.json:
                answers.append(_answer(path, place, arguments))
            else:
                _show(path, place, arguments)
        except (ptzip.PtzipError, OSError) as error:
            failed = True
            answers.append({"path": path, "error": message(error, path)})
            complain("error", f"{name}: {message(error, path)}")
    if arguments.json:
        show(as_json(answers))
    return 2 if failed else 0


def split(name: str) -> tuple[str, str, str]:
    """File, mark and dotted name; a file may itself have the mark in its name."""
    if MARK in name and not Path(name).exists():
        path, mark, place = name.partition(MARK)
        return path, mark, place
    return name, "", ""


def _question(place: str, arguments: argparse.Namespace) -> "Question | None":
    """What is asked for; None for the screenful, which is shown where nothing is."""
    if not (place or arguments.view or arguments.values):
        return None
    from ptzip.render.inspect import NODE, Question  # here and below: what is not shown is not loaded

    return Question(arguments.view or NODE, place, arguments.all, arguments.values)


def _answer(path: str, place: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from ptzip.render import inspect_overview as overview

    asked = _question(place, arguments)
    with ptzip.open(path) as checkpoint:
        if asked is None:
            return overview.answer(checkpoint)
        from ptzip.render import inspect as view

        return {"path": path} | ({"node": place} if place else {}) | view.answer(checkpoint, asked)


def _show(path: str, place: str, arguments: argparse.Namespace) -> None:
    from ptzip.render import inspect_overview as overview

    asked = _question(place, arguments)
    with ptzip.open(path) as checkpoint:
        if asked is None:
            return _print(overview.lines(checkpoint))
        from ptzip.render import inspect as view

        return _print(view.lines(checkpoint, path, asked))


def _print(lines: Iterable[str]) -> None:
    """Print lines in pieces; where they end in an error, those before it are printed."""
    piece = list[str]()
    try:
        for line in lines:
            piece.append(line)
            if len(piece) == LINES_AT_ONCE:
                show("\n".join(piece))
                piece.clear()
    finally:
        if piece:
            show("\n".join(piece))
