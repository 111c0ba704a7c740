"""Tests: one file for each module, named by the promises that are kept."""
