"""Where the bytes of a file go, as a treemap, and what slimming would do to each tensor."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from ptzip.editing.account import Category
from ptzip.figures.block_tree import Block
from ptzip.figures.treemap import COLOURS, treemap
from ptzip.inspecting.kinds import DUPLICATE, OTHER, UNUSED, WEIGHTS, kind_of
from ptzip.inspecting.report import InspectReport
from ptzip.inspecting.tensor_uses import TensorUses
from ptzip.render.html.page import Section
from ptzip.render.words import shape, share, size
from ptzip.slimming.report import SlimReport


def kinds(uses: TensorUses, slim: SlimReport | str) -> dict[str, str]:
    """What the bytes of each tensor are, by its name: what `slim` removes them as, or else what their top-level key says."""
    changes = () if isinstance(slim, str) else slim.changes
    removed = {change.path: change.category for change in changes if change.is_of_tensors}
    found = dict[str, str]()
    for use in uses.tensors:
        category = _at(use.name, removed)
        kept = kind_of(use.name, Category.EMA in removed.values())
        kept = DUPLICATE if use.duplicate and kept == WEIGHTS else kept
        found[use.name] = kept if category is None else category.value if category.value in COLOURS else OTHER
    return found


def _at(name: str, removed: Mapping[str, Category]) -> Category | None:
    """The category of the removal at a path or above it."""
    paths = [name[: at.start()] for at in re.finditer(r"\.|$", name)]
    return next((removed[path] for path in ("", *paths) if path in removed), None)


def bytes_section(report: InspectReport, uses: TensorUses, marks: Mapping[str, str]) -> Section:
    """The treemap of all bytes of a file."""
    blocks = [*_tensors(uses, marks), *_rest(report, uses)]
    figure = treemap("all bytes", blocks)
    totals = Counter[str]()
    for block in blocks:
        totals[block.kind] += block.size
    words = {kind: f"{kind}: {size(totals[kind])} ({share(totals[kind], report.unpacked)})" for kind in COLOURS if totals[kind]}
    more = {
        "legend": [(COLOURS[kind], text) for kind, text in words.items()],
        "summary": "; ".join(words.values()),
    }
    return Section(
        "Where the bytes go",
        "figure",
        figure | more,
        "By module path; the bytes of a storage count once, for the first tensor on it. Click a rectangle to zoom in, and the "
        "bar above to zoom out.",
    )


def _tensors(uses: TensorUses, marks: Mapping[str, str]) -> Iterator[Block]:
    for use in uses.tensors:
        if use.own:
            words = f"{use.tensor.dtype} {shape(use.tensor.shape)}"
            words += f", the same bytes as {use.duplicate}" if use.duplicate else ""
            yield Block(use.name, use.own, marks[use.name], words)
    for unused in uses.unused:
        module, dot, _ = unused.name.rpartition(".")
        yield Block(f"{module}{dot}(unused)", unused.size, UNUSED, f"storage {unused.storage}: no tensor uses these bytes")


def _rest(report: InspectReport, uses: TensorUses) -> Iterator[Block]:
    """What is no tensor: pickles, and the container around everything."""
    pickled = sum(stream.size for stream in report.streams)
    stored = sum(use.own for use in uses.tensors) + sum(unused.size for unused in uses.unused)
    unread = sum(one.size for one in report.unread)
    yield from (Block(one.name, one.size, OTHER, one.role) for one in report.unread)
    for name, taken in (("(pickle)", pickled), ("(file)", report.unpacked - stored - pickled - unread)):
        if taken > 0:
            yield Block(name, taken, OTHER, "headers, padding, other records" if name == "(file)" else "")
