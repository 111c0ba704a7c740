"""The records of a checkpoint that is known to be a zip of torch.save."""

from ptzip.checkpoint import Checkpoint
from ptzip.formats.torchzip import TorchZip


def torch_zip(checkpoint: Checkpoint) -> TorchZip:
    """The layout of a checkpoint, as what it must be."""
    assert isinstance(checkpoint.layout, TorchZip)
    return checkpoint.layout
