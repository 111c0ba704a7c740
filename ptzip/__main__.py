"""The process of the command line, as `ptzip` or `python -m ptzip`.

The settings made here are for ptzip's own process; `cli.main.main` may be called from any.
"""

import os
from typing import NoReturn

from ptzip.process import handle_signals, set_up


def run() -> NoReturn:
    """Run the command line, and end the process with its exit code."""
    handle_signals()
    from ptzip.cli.main import main  # here, since an interrupt of an import would print a traceback before signals are handled

    set_up()
    code = main()
    os._exit(code)  # all is printed and closed, and taking the modules apart takes a tenth of most runs


if __name__ == "__main__":
    run()
