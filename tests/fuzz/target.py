"""What a fuzzer calls: whatever the bytes are, opening and scanning them ends in a value or in a `PtzipError`.

With atheris installed: `python -m tests.fuzz.target CORPUS_FOLDER`.
"""

import contextlib
import sys

from ptzip.checkpoint import Checkpoint
from ptzip.errors import PtzipError
from ptzip.io.sources import BytesSource
from ptzip.scanning.scan import scan


def one(data: bytes) -> None:
    """Open and scan some bytes."""
    with contextlib.suppress(PtzipError), Checkpoint(BytesSource(data)) as checkpoint:
        _ = checkpoint.parts
    scan(data)


if __name__ == "__main__":
    import atheris  # here, since only a run by hand needs it

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
