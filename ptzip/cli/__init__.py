"""The command line: argv to the API, its result to an exit code."""
