"""Markup: whatever stands in the data comes out as text, and as the text that it was."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from ndr.errors import shown
from ndr.report.markup import Html, element, joined, text
from report.findings import HOSTILE

TEXTS = st.text(max_size=120) | st.text(alphabet="<>&\"'=/`\\ \n\t\x00\u202e\u2028#;x0", max_size=120)


class Read(HTMLParser):
    """What a reader of markup sees."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.told = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.told += data


@given(TEXTS, TEXTS)
@example(*HOSTILE[:2])
@example(*HOSTILE[3:5])
def test_text_stays_text_wherever_it_stands(inside: str, value: str) -> None:
    read = Read(element("p", "a", inside, element("b", inside), title=value, data_value=value))
    told = shown(inside, 500)
    assert [tag for tag, _ in read.tags] == ["p", "b"]
    assert read.tags[0][1] == {"title": shown(value, 500), "data-value": shown(value, 500)}
    assert read.told == f"a{told}{told}"
    assert all(c.isprintable() for c in read.told)


def test_attributes_and_empty_elements() -> None:
    assert element("td", None, "", hidden=True, id=None, open=False, data_value=0) == '<td hidden data-value="0"></td>'
    assert element("input", type="search") == '<input type="search">'
    assert element("path", d=Html("M0 1")) == '<path d="M0 1"/>'
    assert joined(("a & b", None, Html("<br>"))) == "a &amp; b<br>"
    assert text("x" * 200, 5) == "xxxxx…"
