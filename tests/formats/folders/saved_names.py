"""Files of torch.save under other names than their own."""

from pathlib import Path


def saved_as(file: Path, other: Path) -> bytes:
    """The bytes of a file as if torch had saved it under the name of another, of the same length, which its zip keeps."""
    assert len(file.stem) == len(other.stem)
    return file.read_bytes().replace(file.stem.encode(), other.stem.encode())
