"""What `report` writes: one page of a study, or of several, for browsers and as Markdown.

The page holds its data, its script and its style, and loads nothing. `record.py` gathers what it
shows, `rendering.py` makes it HTML and `markdown.py` Markdown; `templates/`, `script/` and `style/`
are what a browser gets.
"""
