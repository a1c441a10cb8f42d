"""Every log format, and which of them a file holds, told from its first lines."""

from __future__ import annotations

from collections.abc import Mapping

from ndr.errors import UnknownNameError
from ndr.sources.argus import ARGUS
from ndr.sources.nfdump import NFDUMP
from ndr.sources.palo_alto import PALO_ALTO
from ndr.sources.palo_alto_syslog import PALO_ALTO_SYSLOG
from ndr.sources.source import Source, SourceSpec
from ndr.sources.suricata import SURICATA
from ndr.sources.vpc_flow import VPC_FLOW
from ndr.sources.zeek import ZEEK

SOURCES: dict[str, Source] = {
    source.name: source for source in (ZEEK, SURICATA, PALO_ALTO, PALO_ALTO_SYSLOG, VPC_FLOW, ARGUS, NFDUMP)
}
"""In the order in which they are asked whether a file is theirs."""

_BINARY_SHARE = 0.02


def source_named(name: str) -> Source:
    """The format of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in SOURCES:
        raise UnknownNameError("source", name, SOURCES)
    return SOURCES[name]


def recognised(
    name: str, head: str, asked: Source | None, specs: Mapping[str, SourceSpec]
) -> tuple[Source | None, str | None]:
    """The format of a file, or None and what the file holds instead of session records.

    A format that was asked for is believed, unless the head holds something else of its family. A format does not
    recognise fields renamed by ``field_mapping``: the one whose mapped names all stand in the head is taken.
    """
    known = [asked] if asked else list(SOURCES.values())
    for source in known:
        if source.recognises(head):
            held = source.no_sessions_by_name(name)
            return (None, held) if held else (source, None)
    for source in known:
        if held := source.no_sessions(head):
            return None, held
    for source in known:
        mapping = specs.get(source.name, SourceSpec()).field_mapping
        if asked or (mapping and all(field.rpartition(".")[2] in head for field in mapping.values())):
            return source, None
    control = sum(not (c.isprintable() or c.isspace()) for c in head)
    return None, "binary data" if control > _BINARY_SHARE * len(head) else "not a log of any known format"
