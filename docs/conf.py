"""How the documentation becomes a site: ``sphinx-build -W docs build/docs``."""

from __future__ import annotations

import re
from typing import Any

from authx import __version__

project = "authx"
release = version = __version__
html_title = f"authx {__version__}"
extensions = ["myst_parser"]
root_doc = "index"
html_theme = "furo"
html_static_path = html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
# Anchors as GitHub makes them: the pages read the same there.
myst_heading_anchors = 4


def _read(app: Any, page: str, source: list[str]) -> None:
    """Make the sections of the index the site's contents; take links that leave this folder for text."""
    if page == "index":
        for section in re.split(r"^##+ ", source[0], flags=re.MULTILINE)[1:]:
            caption = section.partition("\n")[0]
            pages = re.findall(r"^- .*?\]\(([\w-]+)\.md\)", section, re.MULTILINE)
            if not pages:
                continue  # a heading of headings
            contents = ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""]
            source[0] += "\n".join(contents)
    source[0] = re.sub(r"\[([^]]+)\]\(\.\./[^)]+\)", r"\1", source[0])


def setup(app: Any) -> None:
    app.connect("source-read", _read)
