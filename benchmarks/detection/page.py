"""The tables of the comparison, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median
from typing import Any, TypeAlias

from benchmarks.detection.rankings import TITLES
from benchmarks.detection.worlds import WORLDS

Judged: TypeAlias = dict[str, list[dict[str, Any]]]
"""Ranking -> what was measured, one for each seed."""

BEGIN, END = "<!-- figures: made by the command -->", "<!-- end of figures -->"
BY_KIND = ("sum", "no_forest", "max", "forest", "fg_a_before", "failed_cnt")
_SAMPLES = {
    "both": "both days, the attacks included (as `ndr train` does)",
    "itself": "the day of the attacks alone",
    "before": "the quiet day before alone",
}


def pages(found: Mapping[str, Judged], command: str, seeds: Sequence[int]) -> str:
    """All tables, a section for each world."""
    told = [f"`{command}`: seeds {', '.join(map(str, seeds))}, 10 hosts a day; means over the seeds.", ""]
    for name, judged in found.items():
        titles = _SAMPLES if WORLDS[name].quiet_days else TITLES
        told += [f"### {WORLDS[name].title}", "", *_overview(judged, titles), ""]
        chosen = [ranking for ranking in BY_KIND if ranking in judged]
        if chosen:
            told += ["Each attack as if it were the only one: found / planted, median delay, median best place.", ""]
            told += [*_kinds(judged, chosen), ""]
    return "\n".join(told).rstrip() + "\n"


def recorded(page: str, text: str) -> str:
    """The page with other tables."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{text}{END}{rest.partition(END)[2]}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _overview(judged: Judged, titles: Mapping[str, str]) -> list[str]:
    heads = ("ranking by", "recall", "precision", "average precision", "ROC-AUC", "AP of windows", "found", "delay")
    lines = [_row(heads), _row(["---", *["--:"] * (len(heads) - 1)])]
    for name, each in judged.items():
        attacks = [attack for one in each for attack in one["per_attack"]]
        lines.append(_row((
            titles[name], _mean(each, "recall_at_10"), _mean(each, "precision_at_10"),
            _mean(each, "average_precision"), _mean(each, "roc_auc"),
            _mean([one["rows"] for one in each], "average_precision"), _found(attacks), _delay(attacks),
        )))  # fmt: skip
    return lines


def _mean(each: Iterable[Mapping[str, Any]], name: str) -> str:
    return f"{mean(one[name] for one in each):.2f}"


def _found(attacks: Sequence[Mapping[str, Any]]) -> str:
    return f"{sum(a['delay_seconds'] is not None for a in attacks)}/{len(attacks)}"


def _delay(attacks: Sequence[Mapping[str, Any]]) -> str:
    """The median in minutes or hours; a dash when half or more were never found."""
    found = median(float("inf") if a["delay_seconds"] is None else a["delay_seconds"] for a in attacks)
    if found == float("inf"):
        return "-"
    return f"{found / 60:.0f} min" if found < 7200 else f"{found / 3600:.1f} h"  # noqa: PLR2004 - two hours


def _place(attacks: Sequence[Mapping[str, Any]]) -> str:
    """The median of the best places; a dash where half of the hosts or more have none."""
    found = median(float("inf") if a["best_place"] is None else a["best_place"] for a in attacks)
    return "-" if found == float("inf") else f"{found:g}."


def _kinds(judged: Judged, chosen: Sequence[str]) -> list[str]:
    lines = [_row(["kind", *(TITLES[name].replace("**", "") for name in chosen)]), _row(["---"] * (len(chosen) + 1))]
    kinds = sorted({attack["kind"] for one in judged[chosen[0]] for attack in one["alone"]})
    for kind in kinds:
        cells = []
        for name in chosen:
            attacks = [a for one in judged[name] for a in one["alone"] if a["kind"] == kind]
            cells.append(f"{_found(attacks)}, {_delay(attacks)}, {_place(attacks)}")
        lines.append(_row([kind, *cells]))
    return lines
