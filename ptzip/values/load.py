"""The object in a file, with numpy's arrays in it.

Rule: it is that of the first pickle, as it is for torch.load; safetensors and npz are a dict of arrays.
"""

from ptzip.errors import EditError, UnsupportedError
from ptzip.formats.layout import Layout
from ptzip.limits import Limits
from ptzip.values.builder import UNKNOWN, build
from ptzip.values.materialize import settle
from ptzip.values.tensor_names import arrays_of


def loaded(layout: Layout, *, unknown: str, mapped: bool, limits: Limits) -> object:
    """The object in a file. Raises UnsupportedError where the file holds none, or something that is not rebuilt."""
    if unknown not in UNKNOWN:
        raise EditError(f"unknown is {unknown!r}, expected one of {', '.join(UNKNOWN)}")
    alone = arrays_of(layout)
    if alone is not None:
        return settle(alone, keep=unknown == "keep", mapped=mapped)
    if not layout.parts:
        raise UnsupportedError(f"this is a {layout.name}, which has no pickle of its own")
    value = build(layout.parts[0], unknown=unknown, limits=limits)
    return settle(value, keep=unknown == "keep", mapped=mapped)
