"""`ptzip slim FILE…`: remove from training checkpoints what only training needs."""

import argparse
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union

import ptzip
from ptzip.cli.pages import HELP as PAGE_HELP
from ptzip.cli.printing import NO_SYNC, as_json, complain, message, progress_bar, show
from ptzip.errors import EditError
from ptzip.io.atomic_output import is_read_only, slim_path
from ptzip.io.sources import split_member
from ptzip.json_output import error_dict

Made = TypeVar("Made")

Outcome = Union["ptzip.SlimReport", str]
"""The report of a file, or why there is none."""

TOGETHER = 8
"""So many files are slimmed in several processes: of small files most time goes into Python, which one process does once."""

DESCRIPTION = (
    "Remove the optimizer, the results text and duplicate weights, and store the model in half precision, "
    "as the framework's own stripper does."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="checkpoints to slim")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-o", "--output", metavar="OUT", help="output file, or folder (default: NAME.slim.pt)")
    where.add_argument("-i", "--in-place", action="store_true", help="overwrite the input atomically")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite an existing output, and with -i a read-only file")
    parser.add_argument("-n", "--dry-run", action="store_true", help="show what would happen; read no tensor, write nothing")
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
    jobs = f"processes for several files (default: all processors from {TOGETHER} files on)"
    parser.add_argument("-j", "--jobs", type=int, metavar="N", help=jobs)
    parser.add_argument("--no-scan", action="store_true", help="do not scan the input for malicious code")
    parser.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors only")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    parser.add_argument("--html", metavar="OUT", help=PAGE_HELP)


def _configure_edit(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--drop", action="append", metavar="PATTERN", default=[], help="remove what matches")
    group.add_argument("--keep", action="append", metavar="PATTERN", default=[], help="keep what the recipe would remove")
    group.add_argument("--set", action="append", metavar="PATH=VALUE", default=[], help="set a value, as in --set epoch=-1")
    averaged = "use averaged weights as the model if the file has them (default), or drop them"
    group.add_argument("--ema", action=argparse.BooleanOptionalAction, default=True, help=averaged)
    dead = "cut storages to the bytes that tensors use (default), or keep them whole"
    group.add_argument("--trim", action=argparse.BooleanOptionalAction, default=True, help=dead)
    same = "store equal storages once (tensors then share memory after loading)"
    group.add_argument("--dedupe", action="store_true", help=same)
    plain = "write a file that weights_only=True loads: modules become state dicts, other objects dicts and numbers"
    group.add_argument("--plain", action="store_true", help=plain)
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
    failed, reports = False, list[dict[str, Any]]()
    if arguments.html and len(arguments.files) > 1:
        complain("error", f"--html is the page of one file, and there are {len(arguments.files)}")
        return 2
    for name, outcome in zip(arguments.files, _outcomes(arguments), strict=True):
        if isinstance(outcome, str):
            failed = True
            reports.append(error_dict(outcome, path=name))
            complain("error", f"{name}: {outcome}")
            continue
        for warning in outcome.warnings:
            complain("warning", f"{name}: {warning}")
        reports.append(outcome.to_dict())
        if arguments.html and (fault := _attempt(name, functools.partial(_write_page, outcome, arguments.html))):
            failed = True
            complain("error", f"{name}: {fault}")
        if not arguments.json and not arguments.quiet:
            _print(outcome, arguments.dry_run)
    if arguments.json:
        show(as_json(reports))
    return 2 if failed else 0


def _write_page(report: "ptzip.SlimReport", name: str) -> None:
    from ptzip.cli.pages import write_page  # here, since few reports are shown so
    from ptzip.render.html.slim import slim_page

    write_page(slim_page(report), name)


def _outcomes(arguments: argparse.Namespace) -> Iterator[Outcome]:
    """The report of each file or why there is none, in the order of the files."""
    files, taken = arguments.files, {os.path.realpath(name): "is another input of this run" for name in arguments.files}
    targets = [_attempt(name, functools.partial(_target, name, arguments, taken)) for name in files]
    from ptzip.io.workers import cpu_count  # here, since --help does without threads

    jobs = arguments.jobs or (cpu_count() if len(files) >= TOGETHER else 1)
    if jobs == 1 or len(files) == 1:
        return (_outcome(name, target, arguments, False) for name, target in zip(files, targets, strict=True))
    return _together(targets, arguments, min(jobs, len(files)))


def _together(targets: list[Path | str], arguments: argparse.Namespace, jobs: int) -> Iterator[Outcome]:
    """The same in several processes, with one progress bar for all files."""
    from concurrent.futures import ProcessPoolExecutor  # here, since one file does not need it

    sizes = [path.stat().st_size if path.exists() else 0 for path in map(Path, arguments.files)]
    files, done = f"{len(sizes)} files", 0
    with progress_bar(files, arguments.quiet or arguments.json, sum(sizes)) as progress, ProcessPoolExecutor(jobs) as pool:
        count = len(sizes)
        for outcome, size in zip(
            pool.map(_outcome, arguments.files, targets, [arguments] * count, [True] * count), sizes, strict=True
        ):
            done += size
            if progress:
                progress(done, sum(sizes))
            yield outcome


def _outcome(name: str, target: Path | str, arguments: argparse.Namespace, is_silent: bool) -> Outcome:
    return target if isinstance(target, str) else _attempt(name, lambda: _slim(name, target, arguments, is_silent))


def _attempt(name: str, step: Callable[[], Made]) -> Made | str:
    """What a step makes, or the message of its error."""
    try:
        return step()
    except (ptzip.PtzipError, OSError, ValueError) as error:
        return message(error, name)


def _slim(name: str, target: Path, arguments: argparse.Namespace, is_silent: bool) -> "ptzip.SlimReport":
    with progress_bar(name, is_silent or arguments.quiet or arguments.json) as progress:
        return ptzip.slim(
            name,
            target if arguments.output or arguments.in_place else None,
            recipe=arguments.recipe,
            dtype=arguments.dtype,
            on_overflow=arguments.on_overflow,
            location=arguments.location,
            drop=arguments.drop,
            keep=arguments.keep,
            keep_float32=arguments.keep_float32,
            set_values=dict(map(_setting, arguments.set)),
            ema=arguments.ema,
            trim=arguments.trim,
            dedupe=arguments.dedupe,
            plain=arguments.plain,
            format=arguments.format,
            dry_run=arguments.dry_run,
            overwrite=arguments.force or arguments.in_place,
            make_folder=bool(arguments.output),
            scan=not arguments.no_scan,
            with_tensors=arguments.json or bool(arguments.html),
            check=arguments.check,
            sync=not arguments.no_sync,
            progress=progress,
            limits=arguments.limits,
        )


WORDS = {"None": None, "True": True, "False": False}


def _setting(text: str) -> tuple[str, str | int | float | bool | None]:
    """`PATH=VALUE`, the value as JSON or Python spells it; anything else is a text. Raises EditError without a "="."""
    path, is_there, value = text.partition("=")
    if not is_there or not path:
        raise EditError(f"invalid --set {text!r}: expected PATH=VALUE")
    if value in WORDS:
        return path, WORDS[value]
    import json  # here, since few set a value

    try:
        found = json.loads(value)
    except ValueError:
        return path, value
    return path, found if isinstance(found, str | int | float | bool | None) else value


def _target(name: str, arguments: argparse.Namespace, taken: dict[str, str]) -> Path:
    """Where the output of one file goes; raises EditError where it would be an input or an output of this run."""
    source = Path(name)
    container, member = split_member(name)
    if arguments.in_place:
        if member:
            raise EditError(f"only whole files are overwritten: slim {container}, or name an output")
        if not arguments.force and source.exists() and is_read_only(source):
            raise EditError("the file is read-only (use -f to overwrite it)")
        return source
    target = _output(source, arguments)
    if target.exists() and Path(container).exists() and target.samefile(container):
        raise EditError(f"the output {target} is the input itself (use -i to overwrite it)")
    real = os.path.realpath(target)
    if real in taken:
        raise EditError(f"the output {target} {taken[real]}")
    taken[real] = "was written for another input of this run"
    return target


def _output(source: Path, arguments: argparse.Namespace) -> Path:
    if not arguments.output:
        return slim_path(source)
    output = Path(arguments.output)
    if not _is_folder(arguments):
        return output
    if output.exists() and not output.is_dir():
        raise EditError(f"the output {output} is not a folder")
    return output / Path(split_member(source)[1] or source).name


def _is_folder(arguments: argparse.Namespace) -> bool:
    """Whether `-o` names a folder, there or not: it ends so, or several files need one."""
    name = arguments.output or ""
    return bool(name) and (name.endswith(os.sep) or len(arguments.files) > 1 or Path(name).is_dir())


def _print(report: "ptzip.SlimReport", with_plan: bool) -> None:
    from ptzip.render.slim import plan_lines, slim_lines  # here, since --help needs none of it

    plan = plan_lines(report) if with_plan else ()
    show("\n".join([*slim_lines(report), *plan]))
