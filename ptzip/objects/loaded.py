"""The object in a file, with numpy's arrays in it.

Rule: it is that of the first pickle, as it is for torch.load; safetensors are a dict of arrays.
"""

from ptzip.errors import EditError, UnsupportedError
from ptzip.formats.part import Layout
from ptzip.formats.safetensors import SafeTensors
from ptzip.limits import Limits
from ptzip.objects.builder import UNKNOWN, build
from ptzip.objects.settled import settle
from ptzip.tensors import safe


def loaded(layout: Layout, *, unknown: str, mapped: bool, limits: Limits) -> object:
    """The object in a file. Raises UnsupportedError where the file holds none, or something that is not rebuilt."""
    if unknown not in UNKNOWN:
        raise EditError(f"unknown is {unknown!r}, expected one of {', '.join(UNKNOWN)}")
    if isinstance(layout, SafeTensors):
        return settle(safe.tensors(layout.source, layout.start), keep=unknown == "keep", mapped=mapped)
    if not layout.parts:
        raise UnsupportedError(f"this is a {layout.name}, which has no pickle of its own")
    value = build(layout.parts[0], unknown=unknown, limits=limits)
    return settle(value, keep=unknown == "keep", mapped=mapped)
