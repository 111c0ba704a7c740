"""The process of the command line, as `ptzip` or `python -m ptzip`: one job, then the end.

Rule: what is set here is for a process that is ptzip's own; `cli.main.main` may be called from any.
"""

import gc
import os
import sys

from ptzip.cli.main import main

OBJECTS_BETWEEN_COLLECTIONS = 200_000
"""A pickle's tree is many small objects that all stay; looking for garbage among them is a sixth of the reading."""


def run() -> int:
    """Run the command line; returns the exit code."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start threads, for algebra that is never done here
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    code = main()
    gc.freeze()  # the process ends: nothing is worth a last search
    return code


if __name__ == "__main__":
    sys.exit(run())
