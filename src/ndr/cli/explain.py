"""``ndr explain``: why a host stands where it does, down to the sessions, and whether the numbers are right."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ndr.cli import lakes
from ndr.cli.output import plain, write_rows
from ndr.cli.tables import host_address, positive
from ndr.errors import shown
from ndr.explaining.case import Case, Row, find_case
from ndr.explaining.traffic import Traffic, traffic_of
from ndr.explaining.verification import Verification, verify
from ndr.explaining.words import contributions, sentences, total
from ndr.tables.fg_a import WINDOWS
from ndr.time import iso, parse_instant

_DIFFERENT = 1
_TOLD = 20


def add_commands(commands: Any) -> None:
    """``explain``."""
    command = commands.add_parser("explain", help="say why a host stands where it does, down to its sessions")
    command.add_argument("host", metavar="HOST", help="address of a host")
    command.add_argument(
        "--at", metavar="TIME", help="UTC: the window that ends then (default: that of the most evidence)"
    )
    command.add_argument("--window", choices=tuple(WINDOWS), help="window (default: that of the most evidence)")
    command.add_argument("--limit", type=positive, default=20, metavar="N", help="at most so many sessions (20)")
    command.add_argument(
        "--verify", action="store_true", help="recompute the numbers from the sessions; exit 1 when any differs"
    )
    lakes.add_lake_options(command)
    lakes.add_format_option(command, ("table", "json"))
    command.set_defaults(run=_explain)


@dataclass(frozen=True)
class _Explanation:
    """Everything there is to say of a case."""

    case: Case
    sentences: Sequence[str]
    parts: Sequence[Row]
    total: Row | None
    traffic: Traffic
    verification: Verification | None

    @property
    def sound(self) -> bool:
        """Whether nothing was found to be wrong."""
        adds_up = self.total is None or bool(self.total["equal"])
        return self.verification is None or (self.verification.sound and adds_up)


def _explain(options: argparse.Namespace) -> int:
    host = host_address(options.host, "HOST")
    at = parse_instant(options.at) if options.at else None
    with lakes.open_lake(options) as opened:
        shop = opened.shop
        case = find_case(shop, host, at, options.window)
        parts = contributions(case)
        told = _Explanation(
            case, sentences(case, shop), parts, total(case, parts), traffic_of(case, shop, options.limit),
            verify(case, shop) if options.verify else None,
        )  # fmt: skip
    if options.format == "json":
        print(json.dumps(_facts(told), indent=2, default=plain))
    else:
        _tell(told)
    return 0 if told.sound else _DIFFERENT


def _facts(told: _Explanation) -> Row:
    case, traffic = told.case, told.traffic
    return {
        "host_ip": case.host,
        "window_label": case.label,
        "window_start_ts": iso(case.window.start),
        "window_end_ts": iso(case.window.end),
        "sentences": list(told.sentences),
        "prediction": case.prediction,
        "contributions": list(told.parts),
        "sum": told.total,
        "pairs": list(traffic.pairs),
        "pairs_not_shown": traffic.pair_count - len(traffic.pairs),
        "sessions": list(traffic.sessions),
        "sessions_not_shown": traffic.record_count - len(traffic.sessions),
        "verification": told.verification.facts() if told.verification else None,
    }


def _tell(told: _Explanation) -> None:
    """The explanation for people."""
    for sentence in told.sentences:
        print(shown(sentence, 1000))
    _tell_parts(told)
    traffic = told.traffic
    print(f"\nPairs, of {traffic.pair_count}:")
    write_rows([_of_people(row, "bytes_sent", "bytes_received") for row in traffic.pairs], "table")
    rest = traffic.record_count - len(traffic.sessions)
    print("\nSessions behind them:")
    write_rows([_of_people(row, "sent", "received") for row in traffic.sessions], "table")
    if rest > 0:
        print(f"… and {rest:,} more records of the host in this window (--limit N shows more)")
    if told.verification:
        print()
        _tell_verification(told.verification)


def _of_people(row: Mapping[str, Any], *sizes: str) -> Row:
    """Bytes whole, for a table of people shortens numbers to four digits."""
    return {name: f"{value:,}" if name in sizes and value is not None else value for name, value in row.items()}


def _tell_parts(told: _Explanation) -> None:
    if not told.parts:
        return
    print("\nWhat the evidence is made of:" if told.total else "\nWhat stands out:")
    for part in told.parts:
        lead = "" if part["contribution"] is None else f"{part['contribution']:+8.2f}  "
        print(f"  {lead}{shown(part['words'], 400)}")
    if told.total:
        is_it = "the evidence" if told.total["equal"] else f"which is not the evidence, {told.total['evidence']:.6f}"
        print(f"  {told.total['contributions']:+8.2f}  together: {is_it}")


def _tell_verification(found: Verification) -> None:
    print(found)
    for difference in found.differences[:_TOLD]:
        print(f"  {shown(str(difference), 400)}")
    if len(found.differences) > _TOLD:
        print(f"  … and {len(found.differences) - _TOLD} more")
    for note in found.notes:
        print(f"  note: {note}")
