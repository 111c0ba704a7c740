"""The process of the command line, as `ptzip` or `python -m ptzip`.

The settings made here are for ptzip's own process; `cli.main.main` may be called from any.
"""

import os
import signal
import sys
from typing import NoReturn

ENDING = frozenset(("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK"))
"""The signals that ask a process to end; Windows has only some of them, and SIGBREAK alone (Ctrl-Break)."""

COLLECTIONS = 200_000, 50, 20
"""How rarely garbage is collected: the tree of a pickle keeps every object, and looking through them took as long as parsing.
A program that uses ptzip decides for itself."""

SECONDS_BETWEEN_THREADS = 50e-6
"""The longest wait of a thread that returns from reading or writing: a hundredth of Python's default."""

PROCESS = os.getpid()
"""The one that was started, as opposed to its workers, which a terminal interrupts too."""


def _leave(number: int, _frame: object) -> NoReturn:
    """End at once, but leave no unfinished file. An exception could be lost, or come where a thread is being started."""
    try:
        unfinished = sys.modules.get("ptzip.io.unfinished")  # before it is imported, nothing is
        if unfinished:
            unfinished.discard_unfinished()
        if number == signal.SIGINT and os.getpid() == PROCESS:
            count = len(unfinished.WRITTEN) if unfinished else 0
            done = f"; {count} file{'s were' if count > 1 else ' was'} written before" if count else ", nothing written"
            os.write(2, f"ptzip: interrupted{done}\n".encode())
    finally:
        os._exit(128 + number)  # as a shell reports it


def _handle_signals() -> None:
    for number in signal.valid_signals():
        is_ending = isinstance(number, signal.Signals) and number.name in ENDING
        if is_ending and signal.getsignal(number) != signal.SIG_IGN:  # under nohup, SIGHUP stays ignored
            signal.signal(number, _leave)


def run() -> NoReturn:
    """Run the command line, and end the process with its exit code."""
    _handle_signals()
    import gc  # here, since an interrupt of an import would print a traceback before signals are handled

    from ptzip.cli.main import main  # as above

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start threads, for algebra that is never done here
    sys.setswitchinterval(SECONDS_BETWEEN_THREADS)
    gc.set_threshold(*COLLECTIONS)
    code = main()
    os._exit(code)  # all is printed and closed, and taking the modules apart takes a tenth of most runs


if __name__ == "__main__":
    run()
