"""``ndr feature-store``: feature groups of SageMaker, and what goes into them."""

from __future__ import annotations

from typing import Any


def add_commands(commands: Any) -> None:
    """Nothing yet."""
    del commands
