"""The summary that `ptzip inspect FILE` prints: about thirty lines for any file."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from ptzip.inspecting.key_sizes import KeySize, TensorFacts
from ptzip.inspecting.report import FileSize, ImportedName, InspectReport, Safety, Slimming
from ptzip.inspecting.tensor_summary import ParameterCount
from ptzip.render.needs import lasting, pinned
from ptzip.render.words import bar, count, cut, filled, printable, releases, shape, share, size, table, value
from ptzip.scanning.advice import quoted
from ptzip.text import TOP_LEVEL

MOST_KEYS, MOST_NAMES, MOST_ANOMALIES, MOST_PARAMETERS, MOST_DTYPES, MOST_TRUSTED, MOST_FILES = 16, 16, 8, 6, 8, 3, 8
"""How many of each fit a screen; the others are counted."""

LABEL, BAR = 12, 10
TENSOR = "tensor"


RUN_OF_SPACES = re.compile(" {2,}")
"""Two spaces are between columns."""

Fact = tuple[str, list[str]]
"""A label and words about it."""


def lines(found: InspectReport) -> Iterator[str]:
    """What a file is, and where its bytes go."""
    yield f"{printable(found.path)}: {size(found.size)}"
    yield from _filled(origin(found))
    if found.keys:
        yield from _shares(found)
    yield from _filled(contents(found))


def _filled(facts: Iterable[Fact]) -> Iterator[str]:
    for name, words in facts:
        yield from filled(words, f"  {name:<{LABEL}}")


def origin(found: InspectReport) -> Iterator[Fact]:
    """What a file is, and what wrote it."""
    yield "format", list(_format(found))
    if releases(found.versions):
        yield "written by", [releases(found.versions)]
    if found.folder is not None:
        yield from ((name, [printable(words)]) for name, words in found.folder.facts)
        yield "files", list(_files(found.folder.files))


def contents(found: InspectReport) -> Iterator[Fact]:
    """What is in a file, what loading it imports, what is odd about it, and what slimming would save."""
    yield from _numbers(found)
    yield "imports", _imports(found.imports)
    yield from (
        (label, words) for label, words in (("needs", lasting(found.needs)), ("pinned to", pinned(found.needs))) if words
    )
    yield from (("anomalies", [fault]) for fault in _faults(found))
    if found.safety is not None:
        yield "safety", [cut(_safety(found.safety), 150)]
    yield "slim", [_slimming(found.slimming, found.size)]


def _format(found: InspectReport) -> Iterator[str]:
    yield found.format
    if found.members > 1:
        yield count(found.members, "record")
    if found.streams:
        first = found.streams[0]
        protocol = f" of protocol {first.protocol}" if first.protocol is not None else ""
        yield f"{count(len(found.streams), 'pickle')}, the first{protocol}" if len(found.streams) > 1 else f"pickle{protocol}"
    if found.big_endian:
        yield "big-endian"


def _files(files: tuple[FileSize, ...]) -> Iterator[str]:
    """The first files of a folder with their sizes."""
    yield from (f"{printable(file.path)} {size(file.size)}" for file in files[:MOST_FILES])
    if rest := files[MOST_FILES:]:
        yield f"{count(len(rest), 'more file')} {size(sum(file.size for file in rest))}"


def _shares(found: InspectReport) -> Iterator[str]:
    rows = found.keys if len(found.keys) <= MOST_KEYS else _folded(found.keys)
    shown = rows if len(rows) <= MOST_KEYS else _largest(rows)
    kinds = {one.key: one for one in found.parameters if one.key}
    alone = {tensor.key: tensor for tensor in found.tensors}
    lines = [(_key(row), row.size, _what(row, kinds.get(row.key), alone.get(row.key))) for row in shown]
    if len(shown) < len(rows):
        rest = sum(row.size for row in rows) - sum(row.size for row in shown)
        lines.append((f"{len(rows) - len(shown):,} more keys", rest, ""))
    lines += [(cut(one.name, 40), one.size, one.role) for one in found.unread]
    if found.rest:
        lines.append(("(file)", found.rest, "headers, padding, other records"))
    cells = [
        (name, size(taken), share(taken, found.unpacked), bar(taken / max(found.unpacked, 1), BAR), what)
        for name, taken, what in lines
    ]
    yield from table(cells, right=frozenset({1, 2}))


def _folded(rows: tuple[KeySize, ...]) -> tuple[KeySize, ...]:
    """The keys of a state dict, joined by the first part of their names."""
    groups: dict[str, list[KeySize]] = {}
    for row in rows:
        groups.setdefault(row.key.partition(".")[0], []).append(row)
    return tuple(group[0] if len(group) == 1 else _joined(name, group) for name, group in groups.items())


def _joined(name: str, group: list[KeySize]) -> KeySize:
    storages, pickle = sum(row.storages for row in group), sum(row.pickle for row in group)
    return KeySize(f"{name}.*", count(len(group), "key"), None, 0, storages, pickle)


def _largest(rows: tuple[KeySize, ...]) -> list[KeySize]:
    """The largest keys, in the order of the file."""
    limit = sorted((row.size for row in rows), reverse=True)[MOST_KEYS - 1]
    larger = [row for row in rows if row.size > limit]
    equal = [row for row in rows if row.size == limit][: MOST_KEYS - len(larger)]
    chosen = set(map(id, (*larger, *equal)))
    return [row for row in rows if id(row) in chosen]


def _key(row: KeySize) -> str:
    return cut(row.key, 40) if row.key else TOP_LEVEL


def _what(row: KeySize, held: ParameterCount | None, tensor: TensorFacts | None) -> str:
    words = [printable(row.kind)]
    if row.value is not None:
        words = [RUN_OF_SPACES.sub(" ", value(row.value, 40))]
    elif tensor is not None and not row.below:
        words = [f"{tensor.dtype} {shape(tensor.shape)}"]
    elif row.kind == TENSOR:
        words = ["a tensor shared with a key above"]
    elif row.below:
        words[0] += f" of {row.below:,}"
    if held is not None and held.numel:
        words.append(count(held.numel, "parameter") if held.is_exact else f"{held.numel:,} values")
    return ", ".join(words)


def _numbers(found: InspectReport) -> Iterator[Fact]:
    if found.dtypes:
        words = [f"{use.dtype} {size(use.size)} in {count(use.tensors, 'tensor')}" for use in found.dtypes[:MOST_DTYPES]]
        if len(found.dtypes) > MOST_DTYPES:
            words.append(count(len(found.dtypes) - MOST_DTYPES, "more dtype"))
        yield "dtypes", words
        has_modules = any(one.is_exact for one in found.parameters)
        yield "parameters" if has_modules else "values", list(_parameters(found.parameters))
    if found.dead.size:
        yield "dead bytes", [f"{size(found.dead.size)} of {count(found.dead.storages, 'storage')} are used by no tensor"]
    if found.duplicates.size * 100 >= found.size:
        storages = count(found.duplicates.storages, "duplicate storage")
        yield "identical", [f"{size(found.duplicates.size)} in {storages} (slim --dedupe)"]


def _parameters(found: tuple[ParameterCount, ...]) -> Iterator[str]:
    """The parameters of modules; where there are none, all numbers of the keys that hold tensors."""
    exact = [one for one in found if one.is_exact]
    rest = "at the top" if len(found) > 1 else "in all"
    for one in (exact or found)[:MOST_PARAMETERS]:
        yield f"{one.numel:,} {f'in {cut(one.key, 40)}' if one.key else rest}"
    if len(exact or found) > MOST_PARAMETERS:
        yield f"{len(exact or found) - MOST_PARAMETERS} more keys"


def _imports(found: tuple[ImportedName, ...]) -> list[str]:
    others = [name for name in found if not name.is_harmless]
    words = [cut(name.path) for name in others] if len(others) <= MOST_NAMES else list(_grouped(others))
    if len(words) > MOST_NAMES:
        words[MOST_NAMES:] = [f"{len(words) - MOST_NAMES} more"]
    known = len(found) - len(others)
    return [*words, *([f"{known:,} allow-listed"] if known else [] if words else ["none"])]


def _grouped(names: list[ImportedName]) -> Iterator[str]:
    """The names of Python's own modules one by one, the others by package."""
    groups = Counter(_package(name.path) for name in names if not name.is_of_python)
    for name in names:
        package = _package(name.path)
        if name.is_of_python or groups[package] == 1:
            yield cut(name.path)
        elif groups[package] > 1:
            yield f"{groups.pop(package)} names of {cut(package)}"


def _package(path: str) -> str:
    """The package that a name is of: two words of it for those of torch."""
    words = path.split(".")
    return ".".join(words[:2] if words[0] == "torch" and len(words) > 2 else words[:1])


def _faults(found: InspectReport) -> Iterator[str]:
    lines = [*map(str, found.anomalies)]
    lines[:0] = [fault for fault in found.faults if not any(fault.endswith(line) for line in lines)]
    for line in lines[:MOST_ANOMALIES] or ["none"]:
        yield cut(line, 150)
    if len(lines) > MOST_ANOMALIES:
        yield f"{len(lines) - MOST_ANOMALIES} more"


def _safety(found: Safety) -> str:
    """The verdict of a scan as `scan` words it."""
    word = "OK" if found.verdict == "clean" else found.verdict.upper()
    words = [quoted(name) for name in found.trust] if len(found.trust) <= MOST_TRUSTED else []
    advice = f" (scan --trust {' '.join(words)})" if words else " (see scan)" if found.verdict != "clean" else ""
    return f"{word}: {found.reason}{advice}"


def _slimming(found: Slimming, old_size: int) -> str:
    if found.refusal:
        return cut(found.refusal, 84)
    effect = f"saves {size(found.saved)}" if found.saved >= 0 else f"makes it {size(-found.saved)} larger"
    return f"{effect} ({share(abs(found.saved), old_size)})  [{found.recipe}]"
