"""The process in which calls fail: it loads ptzip once, and forks for each run. `tests.faults.sweep` starts it, with the shim.

A line of JSON on stdin is one run, a line of JSON on stdout its result.
"""

import ctypes
import importlib
import json
import os
import pkgutil
import signal
import sys
from typing import Any

import ptzip
from ptzip.cli.main import main
from ptzip.process import handle_signals


def shim() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.fault_fired.restype = ctypes.c_char_p
    library.fault_set.argtypes = (ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_int)
    return library


def run(given: dict[str, Any], library: ctypes.CDLL) -> dict[str, Any]:
    """One command in a fork: its exit code (negative for a signal), what it printed, and the call that failed."""
    printed = os.memfd_create("printed")
    library.fault_set(b"", 0, 0, 0)
    child = os.fork()
    if not child:
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets background processes ignore it
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup lets all ignore this
        handle_signals()
        library.fault_set(os.fsencode(given["folder"]), given["kind"], given["at"], given["lasting"])
        code = 3
        try:
            code = main(given["words"])
        except BaseException as error:  # what a user would see as a traceback
            os.write(2, f"Traceback {error!r}".encode())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    text = os.pread(printed, 1 << 16, 0).decode(errors="replace")
    os.close(printed)
    return {"code": os.waitstatus_to_exitcode(status), "text": text, "call": (library.fault_fired() or b"").decode()}


def load_everything() -> None:
    """Import what the commands import, so that the forks need not."""
    for module in pkgutil.walk_packages(ptzip.__path__, "ptzip."):
        importlib.import_module(module.name)
    for name in ("concurrent.futures.thread", "safetensors", "tempfile", "zstandard"):
        importlib.import_module(name)


def serve() -> None:
    load_everything()
    library = shim()
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line), library)), flush=True)


if __name__ == "__main__":
    serve()
