"""Figures of plotly as plain data, so that only what shows them needs plotly.

A figure is a dict of `data` and `layout`, as in the JSON schema of plotly. Text of a file is escaped here (`label`), since
plotly reads labels as markup. Colours are readable on a light and on a dark background; those of text and background are left
to what shows the figure.
"""
