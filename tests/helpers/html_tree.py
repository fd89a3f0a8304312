"""HTML read strictly: what a browser would mend is an error here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

EMPTY = {"meta", "br", "hr", "img", "link", "input"}
"""Elements that have no end tag."""


@dataclass
class Element:
    """A tag, its attributes, and in order the elements and texts within it."""

    tag: str
    attributes: dict[str, str | None]
    inside: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text within, that of elements too."""
        return "".join(part if isinstance(part, str) else part.text for part in self.inside)

    def every(self, tag: str) -> list[Element]:
        """The elements of that tag within, in order."""
        return [element for element in self.walk() if element.tag == tag]

    def walk(self) -> Iterator[Element]:
        """All elements within, in order."""
        for part in self.inside:
            if isinstance(part, Element):
                yield part
                yield from part.walk()


class _Reader(HTMLParser):
    """Builds the tree; every end tag must end the element that was opened last."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        element = Element(tag, dict(attrs))
        self.open[-1].inside.append(element)
        if tag not in EMPTY:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"line {self.getpos()[0]}: </{tag}> ends another element"

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"line {self.getpos()[0]}: {data!r}")


def read_html(text: str) -> Element:
    """The document as a tree whose root has no tag.

    Raises:
        AssertionError: an element ends where another one is open, or never.
    """
    assert text.startswith("<!doctype html>\n")
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is never ended"
    return reader.open[0]
