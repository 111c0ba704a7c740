"""The object in a file, with numpy's arrays in it.

Rule: it is that of the first pickle, as it is for torch.load; safetensors and npz are a dict of arrays.
"""

from ptzip.errors import UnsupportedError
from ptzip.formats.container import Container
from ptzip.limits import Limits
from ptzip.values.builder import build
from ptzip.values.materialize import settle
from ptzip.values.tensor_names import arrays_of


def loaded(container: Container, *, unknown: str, mapped: bool, limits: Limits) -> object:
    """The object in a file. Raises UnsupportedError where the file holds none, or something that is not rebuilt."""
    alone = arrays_of(container)
    if alone is not None:
        return settle(alone, keep=unknown == "keep", mapped=mapped)
    if not container.parts:
        raise UnsupportedError(f"this is a {container.name}, which has no pickle of its own")
    value = build(container.parts[0], unknown=unknown, limits=limits)
    return settle(value, keep=unknown == "keep", mapped=mapped)
