"""Working ahead: one thread makes what another takes, so that two kinds of work overlap."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """The same items, made in a thread that works up to ``depth`` items ahead of whoever takes them."""
    ready: queue.Queue[T | _End] = queue.Queue(depth)
    left = threading.Event()

    def offer(thing: T | _End) -> None:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(thing, timeout=0.1)
                break

    def work() -> None:
        end = _End()
        try:
            for item in itertools.takewhile(lambda _: not left.is_set(), items):
                offer(item)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that takes the items
            end = _End(error)
        if isinstance(items, Generator):
            items.close()
        offer(end)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while not isinstance(thing := ready.get(), _End):
            yield thing
        if thing.error:
            raise thing.error
    finally:
        left.set()
        thread.join()


@dataclass(frozen=True)
class _End:
    """The end of what :func:`ahead` makes, and the error that caused it."""

    error: BaseException | None = None
