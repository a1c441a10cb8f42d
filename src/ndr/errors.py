"""The error tree: every failure a user can meet, as a sentence built from facts.

An error says what happened, where, the value seen, the rule it breaks and one thing to do. ``exit_code`` is what the
command line returns; ``retryable`` says whether running the same thing again can help.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


def near_miss(name: str, known: Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` for the closest known name, else the empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def shown(value: object, limit: int = 80) -> str:
    """A value as it may stand in a message or a log: one line, no control characters, cut at ``limit``."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: limit + 1])
    return f"{text[:limit]}…" if len(text) > limit else text


class NdrError(Exception):
    """Root of everything raised on purpose."""

    exit_code: ClassVar[int] = 3
    retryable: ClassVar[bool] = False


class DeclarationError(NdrError):
    """A metric or table is declared wrongly: a mistake in this program, not in the user's data."""


class SpecError(NdrError, ValueError):
    """A configuration value breaks a rule."""


class UnknownNameError(SpecError):
    """A name that nothing here carries."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        super().__init__(
            f"unknown {kind} {shown(name)!r}.{near_miss(name, known)} Known: {', '.join(known) or 'none'}."
        )


class UsageError(NdrError, ValueError):
    """The command line asks for something that cannot be meant."""

    exit_code = 2


class DataError(NdrError, ValueError):
    """The data break a rule that the whole input must keep."""


class NotReadyError(DataError):
    """What is asked for cannot be made yet, for something that it needs has not come."""

    retryable = True


class ModelError(NdrError, ValueError):
    """A model cannot be trained on these rows, or one that was stored cannot be trusted."""


class AdapterError(NdrError, OSError):
    """A file, engine or service failed; the foreign error is its cause."""


class LakeBusyError(AdapterError):
    """Another process writes to the lake and did not finish in time."""

    retryable = True

    def __init__(self, lake: str, seconds: float) -> None:
        super().__init__(
            f"another run has been writing to the lake {shown(lake)!r} for longer than {seconds:.0f} s; "
            "nothing was changed. Wait for it to end, or raise --wait, and run the same command again."
        )
