"""The process of the command line, as `ptzip` or `python -m ptzip`: one job, then the end.

Rule: what is set here is for a process that is ptzip's own; `cli.main.main` may be called from any.
"""

import gc
import os
import signal
import sys
from typing import NoReturn

from ptzip.cli.main import main

OBJECTS_BETWEEN_COLLECTIONS = 200_000
"""A pickle's tree is many small objects that all stay; looking for garbage among them is a sixth of the reading."""

SECONDS_BETWEEN_THREADS = 50e-6
"""A thread that comes back from reading or writing waits for the interpreter no longer: a hundredth of what is usual."""

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
    gc.freeze()  # the process ends: nothing is worth a last search
    return code


if __name__ == "__main__":
    sys.exit(run())
