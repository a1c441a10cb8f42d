"""``ndr deploy``: what an account needs."""

from __future__ import annotations

from typing import Any


def add_commands(commands: Any) -> None:
    """Nothing yet."""
    del commands
