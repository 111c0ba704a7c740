"""The process of the command line, as `ptzip` or `python -m ptzip`.

The settings made here are for ptzip's own process; `cli.main.main` may be called from any.
"""

import gc
import os
import signal
import sys
from typing import NoReturn

from ptzip.cli.main import main

OBJECTS_BETWEEN_COLLECTIONS = 200_000
"""The tree of a pickle keeps every object, so garbage collection cost a sixth of parsing."""

SECONDS_BETWEEN_THREADS = 50e-6
"""The longest wait of a thread that returns from reading or writing: a hundredth of Python's default."""

TERMINATED = 128 + signal.SIGTERM
"""The exit code that a shell gives to a process that SIGTERM ended."""


def _leave(_signal: int, _frame: object) -> NoReturn:
    """End as on any error, so that no half-written file stays behind."""
    sys.exit(TERMINATED)


def run() -> int:
    """Run the command line; returns the exit code."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start threads, for algebra that is never done here
    sys.setswitchinterval(SECONDS_BETWEEN_THREADS)
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    signal.signal(signal.SIGTERM, _leave)
    code = main()
    gc.freeze()  # no last garbage collection at exit
    return code


if __name__ == "__main__":
    sys.exit(run())
