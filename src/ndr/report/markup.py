"""Markup: HTML made of elements, in which everything is text unless it was made here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ndr.errors import shown

_VOID = {"meta", "input", "br", "path", "rect", "line", "circle"}
_LIMIT, _LONG = 120, 500


class Html(str):
    """Markup; every other string is text and gets escaped."""

    __slots__ = ()


def text(value: str, limit: int = _LIMIT) -> Html:
    """A value as text: one line, cut, with control and direction characters made visible."""
    return Html(escape(shown(value, limit), quote=True))


def element(name: str, /, *inside: str | Html | None, **attributes: str | float | bool | None) -> Html:
    """An element. Attributes lose a trailing ``_`` and have ``-`` for ``_``; None and False are left out.

    >>> element("a", "x < y", class_="peer", data_value=3, hidden=False)
    '<a class="peer" data-value="3">x &lt; y</a>'
    """
    opened = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{opened}/>" if name not in {"meta", "input", "br"} else f"<{name}{opened}>")
    return Html(f"<{name}{opened}>{joined(inside)}</{name}>")


def joined(inside: Iterable[str | Html | None], between: str = "") -> Html:
    """Pieces one after the other; text among them is escaped."""
    return Html(between.join(each if isinstance(each, Html) else text(each, _LONG) for each in inside if each))


def _attribute(key: str, value: str | float | bool | None) -> str:  # noqa: FBT001 - an attribute's value may be one
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    told = value if isinstance(value, Html) else text(value, _LONG) if isinstance(value, str) else f"{value:.12g}"
    return f' {name}="{told}"'
