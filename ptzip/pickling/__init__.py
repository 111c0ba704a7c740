"""The pickle stream: opcodes, nodes, the machine, reader and writer. Nothing here knows a zip or torch."""
