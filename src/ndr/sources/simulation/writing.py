"""How it is logged: the same sessions as Palo Alto JSON lines and as a Zeek conn log, one gzip file a day each.

Whole columns become text at once. A file is the same bytes whenever it is written from the same sessions.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ndr.sources.simulation.flows import APPLICATIONS, BLOCKED, HEADERS, OUTCOMES, TRANSPORTS
from ndr.sources.simulation.network import Array, Network, hashed
from ndr.time import EPOCH

_DAY_MS: Final = 86_400_000
_LEVEL: Final = 1  # of gzip: the logs are made to be read once
_WAITING: Final = 2  # blocks of sessions that may wait for being written
_RULES: Final = ("allow-internal", "allow-outbound", "allow-inbound", "deny-all")
_BASE62: Final = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", np.uint8)
_UID: Final = 18  # characters of a Zeek uid
_ECHO: Final = ((8, 0), (128, 129))  # ICMP type and the number Zeek writes beside it, for IPv4 and IPv6


class Format(Protocol):
    """One way of writing sessions."""

    def path(self, day: str) -> str:
        """The file of a day, relative to the root."""

    def head(self, day: str) -> bytes:
        """What stands before the first session."""

    def foot(self, day: str) -> bytes:
        """What stands after the last session."""

    def lines(self, flows: Array) -> pa.Buffer:
        """The sessions, in their order."""


def _numbers(values: Array, absent: Array | None = None, instead: str = "null") -> pa.Array:
    text = pc.cast(pa.array(np.ascontiguousarray(values), mask=absent), pa.string())
    return text if absent is None else pc.fill_null(text, instead)


def _chosen(texts: list[str], numbers: Array) -> pa.Array:
    return pc.take(pa.array(texts, pa.string()), pa.array(np.ascontiguousarray(numbers)))


def _joined(*pieces: Any) -> pa.Buffer:
    text = pc.binary_join_element_wise(*pieces, "")
    if not len(text):
        return pa.py_buffer(b"")
    return text.buffers()[2]


class PaloAlto:
    """Parsed traffic and threat logs with ECS-like names, a JSON object a line."""

    def __init__(self, net: Network) -> None:
        self.addresses = pa.array(net.addresses)
        self.machines = ["", *(f',"machine_name":"{name}"' for name in net.machines)]
        self.words = [f'"event_action":"{o.action}","event_reason":"{o.reason}"' for o in OUTCOMES.values()]
        self.alert = len(self.words)
        self.words.append('"event_action":"alert","event_reason":null')

    def path(self, day: str) -> str:
        """See :class:`Format`."""
        return f"palo_alto/traffic-{day}.json.gz"

    def head(self, day: str) -> bytes:  # noqa: ARG002 - JSON lines have no header
        """See :class:`Format`."""
        return b""

    foot = head

    def lines(self, flows: Array) -> pa.Buffer:
        """See :class:`Format`; what a THREAT line does not tell (bytes, packets) is null."""
        threat, portless = flows["threat"].copy(), flows["source_port"] < 0
        blocked = BLOCKED[flows["outcome"]]
        rule = np.where(blocked, 3, np.where(flows["inward"], 2, np.where(flows["outward"], 1, 0)))
        repeats = ["", "", *(f',"repeat_cnt":{n}' for n in range(2, 128))]
        return _joined(
            '{"event_start":"', _iso(flows["start"]), 'Z","event_end":"', _iso(flows["end"]),
            'Z","source_ip":"', pc.take(self.addresses, pa.array(flows["source"].copy())),
            '","destination_ip":"', pc.take(self.addresses, pa.array(flows["destination"].copy())),
            '","source_port":', _numbers(flows["source_port"], portless),
            ',"destination_port":', _numbers(flows["destination_port"], portless),
            ',"network_transport":', _chosen([f'"{t}"' for t in TRANSPORTS], flows["transport"]),
            ',"source_bytes":', _numbers(flows["sent"], threat),
            ',"destination_bytes":', _numbers(flows["received"], threat),
            ',"source_packets":', _numbers(flows["packets_out"], threat),
            ',"destination_packets":', _numbers(flows["packets_in"], threat),
            ",", _chosen(self.words, np.where(threat, self.alert, flows["outcome"])),
            _chosen([',"event_name":"TRAFFIC"', ',"event_name":"THREAT"'], threat.astype(np.int8)),
            ',"application":"', _chosen(list(APPLICATIONS), flows["application"]),
            '","rule":"', _chosen(list(_RULES), rule), '"',
            _chosen(self.machines, flows["machine"] + 1), _chosen(repeats, flows["repeat"]), "}\n",
        )  # fmt: skip


def _iso(ms: Array) -> pa.Array:
    text = pc.cast(pa.array(np.ascontiguousarray(ms)).cast(pa.timestamp("ms")), pa.string())
    return pc.binary_replace_slice(text, 10, 11, "T")


_ZEEK_FIELDS: Final = {
    "ts": "time", "uid": "string", "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
    "proto": "enum", "service": "string", "duration": "interval", "orig_bytes": "count", "resp_bytes": "count",
    "conn_state": "string", "local_orig": "bool", "local_resp": "bool", "missed_bytes": "count", "history": "string",
    "orig_pkts": "count", "orig_ip_bytes": "count", "resp_pkts": "count", "resp_ip_bytes": "count",
    "tunnel_parents": "set[string]",
}  # fmt: skip


class Zeek:
    """A conn log as tab-separated values.

    A sensor sees packets, not policies: it has no THREAT lines and no repeat counts, and a denied session is one that
    nobody answered.
    """

    def __init__(self, net: Network) -> None:
        self.net = net
        self.addresses = pa.array(net.addresses)

    def path(self, day: str) -> str:
        """See :class:`Format`."""
        return f"zeek/conn.{day}.log.gz"

    def head(self, day: str) -> bytes:
        """See :class:`Format`."""
        names, types = "\t".join(_ZEEK_FIELDS), "\t".join(_ZEEK_FIELDS.values())
        rules = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
        return f"{rules}#open\t{day}-00-00-00\n#fields\t{names}\n#types\t{types}\n".encode()

    def foot(self, day: str) -> bytes:
        """See :class:`Format`."""
        return f"#close\t{day}-23-59-59\n".encode()

    def lines(self, flows: Array) -> pa.Buffer:
        """See :class:`Format`."""
        flows = flows[~flows["threat"]]
        lone = flows["end"] == flows["start"]  # a single packet has no duration, and Zeek counts no payload
        header = HEADERS[flows["transport"]] + 20 * flows["six"]
        outcomes = list(OUTCOMES.values())
        ports = [
            np.where(flows[name] < 0, np.where(flows["six"], _ECHO[1][end], _ECHO[0][end]), flows[name])
            for end, name in enumerate(("source_port", "destination_port"))
        ]
        tab = "\t"
        return _joined(
            _seconds(flows["start"]), tab, self._uids(flows), tab,
            pc.take(self.addresses, pa.array(flows["source"].copy())), tab, _numbers(ports[0]), tab,
            pc.take(self.addresses, pa.array(flows["destination"].copy())), tab, _numbers(ports[1]), tab,
            _chosen(list(TRANSPORTS), flows["transport"]), tab,
            _chosen(list(APPLICATIONS.values()), flows["application"]), tab,
            pc.if_else(pa.array(lone), "-", _seconds(flows["end"] - flows["start"])), tab,
            _numbers(flows["sent"] - header * flows["packets_out"], lone, "-"), tab,
            _numbers(flows["received"] - header * flows["packets_in"], lone, "-"), tab,
            _chosen([o.state for o in outcomes], flows["outcome"]),
            _chosen(["\tT", "\tF"], flows["inward"].astype(np.int8)),
            _chosen(["\tT", "\tF"], flows["outward"].astype(np.int8)),
            "\t0\t", _chosen([o.history for o in outcomes], flows["outcome"]), tab,
            _numbers(flows["packets_out"]), tab, _numbers(flows["sent"]), tab,
            _numbers(flows["packets_in"]), tab, _numbers(flows["received"]), "\t-\n",
        )  # fmt: skip

    def _uids(self, flows: Array) -> pa.Array:
        """``C`` and 17 characters that follow from the session itself."""
        known = ("start", "source", "destination", "source_port", "destination_port")
        left = hashed(self.net.seed, *(flows[name] for name in known))
        text = np.full((len(flows), _UID), ord("C"), np.uint8)
        for place in range(1, _UID):
            if place == _UID // 2:
                left = hashed(left)
            left, digit = np.divmod(left, np.uint64(len(_BASE62)))
            text[:, place] = _BASE62[digit]
        offsets = np.arange(0, text.size + 1, _UID, dtype=np.int32)
        return pa.StringArray.from_buffers(len(flows), pa.py_buffer(offsets), pa.py_buffer(text))


_MICROSECONDS: Final = [f".{ms:03d}000" for ms in range(1000)]


def _seconds(ms: Array) -> pa.Array:
    return pc.binary_join_element_wise(_numbers(ms // 1000), _chosen(_MICROSECONDS, ms % 1000), "")


FORMATS: Final[dict[str, Callable[[Network], Format]]] = {"palo_alto": PaloAlto, "zeek": Zeek}


@dataclass
class _Open:
    day: str
    path: Path
    stream: IO[bytes]
    gzip: Any


class DailyLog:
    """One format's files, a day at a time; a file has its name only when it is whole."""

    def __init__(self, root: Path, form: Format) -> None:
        self.root, self.form = root, form
        self.files: list[Path] = []
        self._at: _Open | None = None
        self._thread = ThreadPoolExecutor(1)
        self._waiting: list[Future[None]] = []

    def write(self, flows: Array) -> None:
        """Sessions in the order of their ends, none of them before those written earlier; written in the background."""
        while len(self._waiting) >= _WAITING:
            self._waiting.pop(0).result()
        self._waiting.append(self._thread.submit(self._write, flows))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        """Finishes the last file, or after a failure removes it: half a day is no log."""
        try:
            if failure is None:
                for written in self._waiting:
                    written.result()
                self._finish()
        finally:
            self._thread.shutdown(cancel_futures=True)
            if self._at:
                self._at.stream.close()
                _part(self._at.path).unlink()

    def _write(self, flows: Array) -> None:
        for day, part in _by_day(flows):
            lines = self.form.lines(part)
            if not lines.size:
                continue
            if self._at is None or self._at.day != day:
                self._finish()
                self._at = self._begin(day)
            self._at.stream.write(self._at.gzip.compress(lines))

    def _begin(self, day: str) -> _Open:
        path = self.root / self.form.path(day)
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = _part(path).open("wb")
        gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)  # 31: a gzip frame, whose time zlib leaves at 0
        stream.write(gzip.compress(self.form.head(day)))
        return _Open(day, path, stream, gzip)

    def _finish(self) -> None:
        if self._at is None:
            return
        at = self._at
        at.stream.write(at.gzip.compress(self.form.foot(at.day)) + at.gzip.flush())
        at.stream.close()
        _part(at.path).replace(at.path)
        self.files.append(at.path)
        self._at = None


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _by_day(flows: Array) -> Iterator[tuple[str, Array]]:
    days = flows["end"] // _DAY_MS
    for day in np.unique(days).tolist():
        yield (EPOCH + timedelta(days=day)).date().isoformat(), flows[days == day]
