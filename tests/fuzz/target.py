"""What a fuzzer calls: opening any bytes raises only `PtzipError`, scanning them nothing, and what scans as clean makes no
loader resolve a name that the report does not list.

With atheris installed, coverage-guided: `python -m tests.fuzz.target CORPUS_FOLDER`.
"""

import contextlib
import sys

from ptzip.checkpoint import Checkpoint
from ptzip.errors import PtzipError
from ptzip.io.sources import BytesSource
from tests.fuzz.differences import Totals, differences
from tests.fuzz.sandbox import Sandbox, sandbox


def opened(data: bytes) -> None:
    """Open some bytes, which raises nothing but PtzipError."""
    with contextlib.suppress(PtzipError), Checkpoint(BytesSource(data)) as checkpoint:
        _ = checkpoint.parts


def one(data: bytes, box: Sandbox) -> None:
    """Open, scan and load some bytes. Raises AssertionError for a difference."""
    opened(data)
    for found in differences([data], box, Totals()):
        raise AssertionError(f"{found.by} in {data!r}")


if __name__ == "__main__":
    import atheris  # here, since only a run by hand needs it

    with atheris.instrument_imports(include=["ptzip"]):
        import ptzip.scanning.scan  # noqa: F401

    with sandbox() as box:
        atheris.Setup(sys.argv, lambda data: one(data, box))
        atheris.Fuzz()
