"""What a coverage-guided fuzzer calls: opening any bytes raises only `PtzipError`, and scanning them nothing.

With atheris installed: `python -m tests.fuzz.target CORPUS_FOLDER`. The folder gets an input for each path through the code
that was found; `python -m tests.bench.fuzzing --corpus CORPUS_FOLDER` gives them to the real loaders.
"""

import contextlib
import sys


def opened(data: bytes) -> None:
    from ptzip.checkpoint import Checkpoint  # here, so that atheris can instrument it first
    from ptzip.errors import PtzipError
    from ptzip.io.sources import BytesSource

    with contextlib.suppress(PtzipError), Checkpoint(BytesSource(data)) as checkpoint:
        _ = checkpoint.parts


def one(data: bytes) -> None:
    from ptzip.scanning.scan import scan

    opened(data)
    scan(data)


if __name__ == "__main__":
    import atheris  # only a run by hand needs it

    with atheris.instrument_imports(include=["ptzip"]):
        one(b"PK\3\4")
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
