"""`ptzip slim FILE…`: remove from training checkpoints what only training needs."""

import argparse
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptzip import api
from ptzip.cli.batch.flags import TOGETHER, add_batch, named, outcomes, text_settings
from ptzip.cli.batch.tally import Tally
from ptzip.cli.batch.task import Task
from ptzip.cli.files import File, checkpoints
from ptzip.cli.pages import HELP as PAGE_HELP
from ptzip.cli.parser import Paths
from ptzip.cli.printing import NO_SYNC, PORTABLE, RENAME_CLASS, renames, show
from ptzip.cli.results import Results
from ptzip.cli.streams import STANDARD, is_stdin, output_path
from ptzip.errors import EditError, PtzipError
from ptzip.io.atomic_output import is_read_only, slim_path
from ptzip.io.sources import split_member
from ptzip.io.urls import is_url, redacted
from ptzip.render.messages import message

if TYPE_CHECKING:
    import ptzip

Target = str | Path
"""Where an output goes: a URL, or a path."""

DESCRIPTION = (
    "Remove the optimizer, the results text and duplicate weights, and store the model in half precision, "
    "as the framework's own stripper does."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", action=Paths, metavar="PATH", help="checkpoints, or folders of them; - is stdin")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-o", "--output", metavar="OUT", help="output file, or folder; - is stdout (default: NAME.slim.pt)")
    where.add_argument("-i", "--in-place", action="store_true", help="overwrite the input atomically")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite an existing output, and with -i a read-only file")
    parser.add_argument("-n", "--dry-run", action="store_true", help="show what would happen; read no tensor, write nothing")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if a file was not slim, as for a check with -n")
    parser.add_argument(
        "--recipe", default="auto", metavar="NAME", help="see --list-recipes (default: detected from the layout)"
    )
    parser.add_argument("--list-recipes", action=ListRecipes, help="list all recipes and exit")
    _configure_edit(parser.add_argument_group("what is removed (PATTERN is a glob of dotted paths as inspect shows them)"))
    _configure_cast(parser.add_argument_group("precision"))
    check = "read the new file back, compare every tensor with the input, and report the largest difference"
    parser.add_argument("--check", action="store_true", help=check)
    formats = ("zip", "legacy", "same")
    form = "format of the output (default: zip, or that of safetensors); legacy is for torch before 1.6"
    parser.add_argument("--format", choices=formats, help=form)
    parser.add_argument("--no-sync", action="store_true", help=NO_SYNC)
    parser.add_argument("--no-scan", action="store_true", help="do not scan the input for malicious code")
    parser.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors only")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    parser.add_argument("--html", metavar="OUT", help=PAGE_HELP)
    add_batch(parser)


def _configure_edit(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--drop", action="append", metavar="PATTERN", default=[], help="remove what matches")
    group.add_argument("--keep", action="append", metavar="PATTERN", default=[], help="keep what the recipe would remove")
    values = "set a value, as JSON or as text: --set epoch=-1"
    group.add_argument("--set", action="append", metavar="PATH=VALUE", default=[], help=values)
    averaged = "use averaged weights as the model if the file has them (default), or drop them"
    group.add_argument("--ema", action=argparse.BooleanOptionalAction, default=True, help=averaged)
    masters = "of a folder of DeepSpeed, use the float32 weights of the optimizer where there are 16-bit weights too"
    group.add_argument("--masters", action="store_true", help=masters)
    dead = "cut storages to the bytes that tensors use (default), or keep them whole"
    group.add_argument("--trim", action=argparse.BooleanOptionalAction, default=True, help=dead)
    same = "store equal storages once (tensors then share memory after loading)"
    group.add_argument("--dedupe", action="store_true", help=same)
    plain = "write a file that weights_only=True loads: modules become state dicts, other objects dicts and numbers"
    group.add_argument("--plain", action="store_true", help=plain)
    group.add_argument("--portable", action="store_true", help=PORTABLE)
    group.add_argument("--rename-class", action="append", metavar="OLD=NEW", default=[], help=RENAME_CLASS)
    group.add_argument("--location", default="cpu", choices=("cpu", "keep"), help="device that tensors load to")


def _configure_cast(group: argparse._ArgumentGroup) -> None:
    dtype = "dtype of the weights (default: float32 and float64 become float16, and 16-bit floats stay)"
    group.add_argument("--dtype", default="auto", choices=("auto", "float16", "bfloat16", "keep"), help=dtype)
    beyond = "if values exceed its range: keep the tensor as it is (default), store the largest number, infinity, or stop"
    group.add_argument("--on-overflow", default="keep", choices=("keep", "saturate", "inf", "error"), help=beyond)
    group.add_argument("--keep-float32", action="append", metavar="PATTERN", default=[], help="do not cast what matches")


class ListRecipes(argparse.Action):
    """Print the recipes and exit, as `--help` does."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from ptzip.render.slim import recipe_lines  # here, since nobody else needs all recipes

        show("\n".join(recipe_lines()))
        parser.exit()


def run(arguments: argparse.Namespace) -> int:
    """Slim each file; one that fails does not stop the others."""
    results, files, tally = Results("slim", arguments.json), _files(arguments), Tally()
    if arguments.html and len(files) > 1:
        raise EditError(f"--html is the page of one file, and there are {len(files)}")
    if arguments.output == STANDARD and len(files) > 1:
        raise EditError(f"stdout takes one file, but {len(files):,} are named")
    with output_path(arguments.output) as path:
        shown = text_settings(not arguments.json) | ({"output": STANDARD} if arguments.output == STANDARD else {})
        arguments.output = path
        page = functools.partial(_write_page, name=arguments.html, results=results) if arguments.html else None
        for found in outcomes(list(_tasks(files, arguments, shown)), arguments, page):
            is_late = arguments.exit_code and not found.report.get("already_slim")
            results.take(found, int(is_late), has_lines=not arguments.quiet)
            tally.add(found)
        if not arguments.quiet and not arguments.json:
            tally.show(TOGETHER)
        return results.end()


def _write_page(report: "ptzip.SlimReport", name: str, results: Results) -> None:
    from ptzip.cli.pages import write_page  # here, since few reports are shown so
    from ptzip.render.html.slim import slim_page

    try:
        write_page(slim_page(report), name)
    except (PtzipError, OSError) as error:  # the output itself is there
        results.fail(report.path, error)


def _files(arguments: argparse.Namespace) -> list[File]:
    """The files to slim: in a folder not what an earlier run wrote there; one that is overwritten, once."""
    writes_beside = not (arguments.output or arguments.in_place)
    found = checkpoints(named(arguments, arguments.files), opened=functools.partial(api.folder_source, has_models=False))
    if arguments.in_place:
        found = list({_one_spelling(file.path): file for file in reversed(found)}.values())[::-1]
    return [file for file in found if file.is_named or not writes_beside or ".slim." not in Path(file.path).name]


def _tasks(files: list[File], arguments: argparse.Namespace, shown: dict[str, Any]) -> Iterator[Task]:
    """What to do with each file, or why nothing is done with it."""
    taken = {_one_spelling(file.path): "is another input of this run" for file in files}
    to_folder = _is_folder(files, arguments)
    for file in files:
        try:
            target = _target(file, arguments, to_folder, taken)
            output = os.fspath(target) if arguments.output or arguments.in_place else None
            yield Task("slim", file.path, {"output": output, **_options(arguments)}, shown)
        except (EditError, OSError, ValueError) as error:
            yield Task("slim", file.path, {}, shown, refusal=message(error, redacted(file.path)))


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `ptzip.slim` beside its output."""
    return {
        "recipe": arguments.recipe,
        "dtype": arguments.dtype,
        "on_overflow": arguments.on_overflow,
        "location": arguments.location,
        "drop": arguments.drop,
        "keep": arguments.keep,
        "keep_float32": arguments.keep_float32,
        "set_values": dict(map(_setting, arguments.set)),
        "ema": arguments.ema,
        "masters": arguments.masters,
        "trim": arguments.trim,
        "dedupe": arguments.dedupe,
        "plain": arguments.plain,
        "portable": arguments.portable,
        "rename_class": renames(arguments.rename_class),
        "format": arguments.format,
        "dry_run": arguments.dry_run,
        "overwrite": arguments.force or arguments.in_place,
        "scan": not arguments.no_scan,
        "with_tensors": arguments.json or bool(arguments.html),
        "check": arguments.check,
        "sync": not arguments.no_sync,
        "limits": arguments.limits,
    }


WORDS = {"None": None, "True": True, "False": False}


def _setting(text: str) -> tuple[str, Any]:
    """`PATH=VALUE`, the value as JSON or Python spells it; anything else is a text. Raises EditError without a "="."""
    path, is_there, value = text.partition("=")
    if not is_there or not path:
        raise EditError(f"invalid --set {text!r}: expected PATH=VALUE")
    if value in WORDS:
        return path, WORDS[value]
    import json  # here, since few runs set anything

    try:
        return path, json.loads(value)
    except ValueError:
        return path, value
    except RecursionError as error:
        raise EditError(f"invalid --set {path}: the value has too many levels") from error


def _target(file: File, arguments: argparse.Namespace, to_folder: bool, taken: dict[str, str]) -> Target:
    """Where the output of one file goes; raises EditError where it would be an input or an output of this run."""
    source = Path(file.path)
    container, member = split_member(file.path)
    if arguments.in_place and is_url(file.path):
        raise EditError("a file at a URL is not overwritten: name an output with -o")
    if (is_stdin(file.path) or is_url(file.path)) and not arguments.output and not arguments.dry_run:
        what = "stdin" if is_stdin(file.path) else "a file at a URL"
        raise EditError(f"{what} needs an output: name it with -o, or - for stdout")
    if arguments.in_place:
        if member:
            raise EditError(f"only whole files are overwritten: slim {container}, or name an output")
        if file.is_folder:
            raise EditError("a folder is not overwritten: name an output with -o")
        if not arguments.force and source.exists() and is_read_only(source):
            raise EditError("the file is read-only (use -f to overwrite it)")
        return source
    target = _output(file, arguments, to_folder)
    if isinstance(target, Path) and target.exists() and Path(container).exists() and target.samefile(container):
        raise EditError(f"the output {target} is the input itself (use -i to overwrite it)")
    real = _one_spelling(target)
    if real in taken and (arguments.output or not arguments.dry_run):  # a check of all files finds what earlier runs wrote
        raise EditError(f"the output {redacted(str(target))} {taken[real]}")
    taken[real] = "was written for another input of this run"
    return target


def _one_spelling(path: Target) -> str:
    """A path spelled as every other that leads to the same file is; a URL as it is."""
    return str(path) if is_url(path) else os.path.normcase(os.path.realpath(path))


def _output(file: File, arguments: argparse.Namespace, to_folder: bool) -> Target:
    """The path or URL of an output; files of a folder keep their places below the output folder."""
    if not arguments.output:
        return slim_path(redacted(file.path), file.whole_name)
    if is_url(arguments.output):
        url: str = arguments.output
        return f"{url.rstrip('/')}/{Path(_below(file, url)).as_posix()}" if to_folder else url
    output = Path(arguments.output)
    if not to_folder:
        return output
    if output.exists() and not output.is_dir():
        raise EditError(f"the output {output} is not a folder")
    return output / _below(file, arguments.output)


def _below(file: File, output: str) -> str:
    """The path of an output below the output folder."""
    if file.path == STANDARD:
        raise EditError(f"stdin has no name for a file in {redacted(output.rstrip('/'))}: name the output itself")
    name = redacted(file.path)
    if file.is_folder and not file.whole_name:
        return os.path.relpath(slim_path(name), file.folder or Path(name).parent)
    if file.is_folder:
        return os.path.join(os.path.relpath(name, file.folder or name), file.whole_name)  # noqa: PTH118 (of either kind)
    if file.folder:
        return os.path.relpath(name, redacted(file.folder))
    return Path(split_member(name)[1] or name).name


def _is_folder(files: list[File], arguments: argparse.Namespace) -> bool:
    """Whether `-o` names a folder, there or not: it ends so, or several files or a folder of files need one."""
    name = arguments.output or ""
    is_needed = len(arguments.files) > 1 or any(file.folder for file in files)
    ends_so = not os.path.basename(name)  # noqa: PTH119 (a Path drops what ends it)
    is_there = not is_url(name) and os.path.isdir(name)  # noqa: PTH112 (a Path raises what the output raises for each file)
    return bool(name) and (ends_so or is_needed or is_there)
