"""Structured logs on stderr: one JSON object per line, off unless asked for. Values are shown, never trusted."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from ndr.errors import shown

_LOGGER = logging.getLogger("ndr")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {"time": self.formatTime(record), "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(fields | getattr(record, "fields", {}), ensure_ascii=True, default=str)


def start_logging(*, verbose: bool) -> None:
    """Send logs to stderr: everything when verbose, else warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    _LOGGER.handlers = [handler]
    _LOGGER.setLevel(logging.INFO if verbose else logging.WARNING)
    _LOGGER.propagate = False


def log(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Note an event with its facts; texts are cut and stripped of control characters."""
    clean = {name: shown(value) if isinstance(value, str) else value for name, value in fields.items()}
    _LOGGER.log(level, event, extra={"fields": clean})
