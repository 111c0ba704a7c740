"""The zip container: structures, reader, writer. Nothing here knows a pickle or torch."""
