"""The map of a file: what every byte is, whatever the file."""
