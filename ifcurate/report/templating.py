"""The templates of what a person looks at; HTML is escaped."""

from __future__ import annotations

from importlib.resources import files

import jinja2

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("ifcurate.report", "templates"),
    autoescape=jinja2.select_autoescape(["html.j2"]),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
TEMPLATES.filters["format_number"] = "{:,}".format


def verbatim(name: str) -> str:
    """A file beside the templates, as it is."""
    return (files("ifcurate.report") / "templates" / name).read_text(encoding="utf-8")
