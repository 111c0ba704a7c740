"""What a conversion did: values, which `reports` puts into words."""

from collections.abc import Mapping
from typing import NamedTuple


class LeftOut(NamedTuple):
    """A tensor that is not in the output, and why in a few words."""

    name: str
    why: str


class ConvertReport(NamedTuple):
    """One conversion: `outputs` are the files that were written, `size` their bytes, `tensors` how many they hold.

    `ties` are the names that are in the output as another name of a tensor: each beside the name of that one. `others` are the
    top-level keys under which something stands that is no tensor.
    """

    path: str
    outputs: tuple[str, ...]
    format: str
    tensors: int
    size: int
    ties: Mapping[str, str]
    left_out: tuple[LeftOut, ...]
    others: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
