"""A page as a parser sees it: its elements, ids and links, and the text that people read."""

from __future__ import annotations

from html.parser import HTMLParser

LINKING = {"href", "src", "srcset", "data", "action", "poster", "xlink:href", "style"}
_VOID = {"meta", "link", "input", "br", "img"}


class Page(HTMLParser):
    """Collects all elements with their attributes, all ids, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._inside):
            self.text += data

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    def links(self) -> list[str]:
        return [v for _, attributes in self.tags for k, v in attributes.items() if k in LINKING]
