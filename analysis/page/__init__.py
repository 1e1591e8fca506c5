"""The output of `report`: one page of one or several studies, as HTML and as Markdown.

`record.py` gathers its contents; `rendering.py` and `markdown.py` write it. The HTML file contains
its data, script and style, and loads nothing.
"""
