"""What we measure of a host: the registry, in the order of the columns."""

from __future__ import annotations

from ndr.metric import Metric, by_name
from ndr.metrics.novelty import NOVELTY
from ndr.metrics.peers import PEERS
from ndr.metrics.ports import PORTS
from ndr.metrics.traffic import TRAFFIC

METRICS: tuple[Metric, ...] = (*TRAFFIC, *PEERS, *PORTS, *NOVELTY)
BY_NAME = by_name(METRICS)
SLICED = tuple(m for m in METRICS if m.merge != "afresh")
BASELINED = tuple(m for m in METRICS if m.themes and m.kind != "flag")
"""What hosts are compared in: the metrics that say something about a kind of attack."""
ROLES = ("outbound", "inbound")
