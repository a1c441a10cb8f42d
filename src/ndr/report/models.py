"""Models: what the manifest of the model in force says, as a report tells it."""

from __future__ import annotations

from pathlib import Path

from ndr import artefacts
from ndr.errors import ModelError
from ndr.model.detector import Scorer
from ndr.model.training import Facts
from ndr.report.findings import Model
from ndr.report.words import counted, moment
from ndr.time import parse_instant


def model_of(scorer: Scorer | None, folder: Path | None) -> Model | None:
    """The model in force, whose files lie in a folder; None while there is none."""
    if scorer is None:
        return None
    if folder is None:
        return Model(scorer.name, scorer.version, {"Where": "an endpoint; how it was trained is not known here"})
    try:
        _, manifest = artefacts.load(folder)
    except ModelError:  # it was replaced since it was loaded
        return Model(scorer.name, scorer.version, {})
    return Model(scorer.name, scorer.version, _told(manifest.training))


def _told(facts: Facts) -> dict[str, str]:
    first, last = (moment(parse_instant(end)) for end in (facts.first_window_end, facts.last_window_end))
    told = {
        "Trained on": f"{counted(facts.rows - facts.wild_rows, 'window')} of {counted(facts.hosts, 'host')}",
        "Of the time": f"{first} to {last}",
        "Left out as too wild": counted(facts.wild_rows, "window"),
    }
    if facts.validation is None:
        return told | {"Validation": facts.validation_lacks or "none"}
    tried = facts.validation
    return told | {
        "Tried on later windows": f"{tried.rows:,}, after learning from {tried.fitted_rows:,} earlier ones",
        "Of these above a score of 0.99": f"{100 * tried.share_above_99:.2f} % (1 % where days are alike)",
        "Above 0.999": f"{100 * tried.share_above_999:.2f} % (0.1 % where days are alike)",
        "Agreement of the rankings": f"{tried.rank_correlation:.2f} of 1 (Spearman)",
    }
