"""Reports as HTML: one self-contained page each, which loads nothing from a network.

A page is a template (`page.html`, `page.css`, `page.js`) and one block of JSON with the sections. The script builds the page
from it with text nodes only, and the page's policy allows no other script but plotly, so nothing in a checkpoint can become
markup or code.
"""
