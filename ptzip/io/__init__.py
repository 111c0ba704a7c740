"""Bytes in files and in memory: sources, payloads, compression, checksums, atomic output."""
