"""What ptzip sets for processes of its own, those that it starts among them: signals, threads, garbage collection.

A program that uses ptzip decides all of that for itself.
"""

import gc
import os
import signal
import sys
from typing import NoReturn

ENDING = frozenset(("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK"))
"""The signals that ask a process to end; Windows has only some of them, and SIGBREAK alone (Ctrl-Break)."""

KEYS = frozenset(("SIGINT", "SIGBREAK"))
"""Those that a terminal sends to all processes in it, as the user knows: only the first process says so."""

COLLECTIONS = 200_000, 50, 20
"""How rarely garbage is collected: the tree of a pickle keeps every object, and looking through them doubled the time."""

SECONDS_BETWEEN_THREADS = 50e-6
"""The longest wait of a thread that returns from reading or writing: a hundredth of Python's default."""


def handle_signals(is_worker: bool = False) -> None:
    """End at once on a signal that asks for it, and leave no unfinished file."""

    def leave(number: int, _frame: object) -> NoReturn:  # an exception could be lost, or come where a thread is being started
        try:
            unfinished = sys.modules.get("ptzip.io.unfinished")  # before it is imported, nothing is
            if unfinished:
                unfinished.discard_unfinished()
            if signal.Signals(number).name in KEYS and not is_worker:
                count = len(unfinished.WRITTEN) if unfinished else 0
                done = f"; {count} file{'s were' if count > 1 else ' was'} written before" if count else ", nothing written"
                os.write(2, f"ptzip: interrupted{done}\n".encode())
        finally:
            os._exit(128 + number)  # as a shell reports it

    for number in signal.valid_signals():
        is_ending = isinstance(number, signal.Signals) and number.name in ENDING
        if is_ending and signal.getsignal(number) != signal.SIG_IGN:  # under nohup, SIGHUP stays ignored
            signal.signal(number, leave)


def set_up() -> None:
    """Let threads and the garbage collector fit what ptzip does."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start threads, for algebra that is never done here
    sys.setswitchinterval(SECONDS_BETWEEN_THREADS)
    gc.set_threshold(*COLLECTIONS)
