"""`python -m ptzip` is the command line."""

import sys

from ptzip.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
