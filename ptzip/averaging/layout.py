"""Whether files have one layout: the same names, and under each the same dtype and shape."""

from collections.abc import Sequence

from ptzip.averaging.inputs import Input
from ptzip.errors import EditError
from ptzip.tensors.tensor import Tensor


def check_layouts(inputs: Sequence[Input]) -> None:
    """Raise EditError where a file has other tensors than the first, naming the tensor and both files."""
    first, *others = inputs
    for other in others:
        for one, another in ((first, other), (other, first)):
            missing = [name for name in one.tensors if name not in another.tensors]
            if missing:
                more = f", nor {len(missing) - 1:,} more" if len(missing) > 1 else ""
                raise EditError(f"{another.name} has no tensor {missing[0] or 'at its top'}, which {one.name} has{more}")
        for name, tensor in first.tensors.items():
            found = other.tensors[name]
            if _facts(tensor) != _facts(found):
                old, new = _difference(tensor, found)
                raise EditError(f"{name or 'the tensor'} is {old} in {first.name}, and {new} in {other.name}")


def _facts(tensor: Tensor) -> dict[str, str]:
    """What tensors that are averaged have in common, as text, since a scale may be NaN."""
    return {
        "": f"{tensor.dtype} {list(tensor.shape)}",
        "layout": tensor.layout,
        "components": ", ".join(tensor.components),
        "meta": str(tensor.device == "meta"),
        "conjugated": str(tensor.is_conj),
        "negated": str(tensor.is_neg),
        "qscheme": tensor.qscheme,
        "scale": str(tensor.scale),
        "zero point": str(tensor.zero_point),
        "axis": str(tensor.axis),
    }


def _difference(one: Tensor, other: Tensor) -> tuple[str, str]:
    """What is the first to differ, in both."""
    pairs = zip(_facts(one).items(), _facts(other).values(), strict=True)
    name, old, new = next((name, old, new) for (name, old), new in pairs if old != new)
    return (f"{name} {old}".strip() or "plain", f"{name} {new}".strip() or "plain")
