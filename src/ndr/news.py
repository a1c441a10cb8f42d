"""News: what there is to build after imports: what hosts did, then baselines and how far hosts are off, then scores.

Each step trusts those before it: which parts exist there is looked up, not planned again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain

from ndr.fingerprint import run_fingerprint
from ndr.plan import Planner, Step
from ndr.publications import publications, stretches
from ndr.run import Workshop, run
from ndr.table import SERVICE, Publication, Table
from ndr.tables import TABLES
from ndr.tables.beacons import beacons
from ndr.tables.fg_a import fg_a
from ndr.tables.fg_b_host import fg_b_host
from ndr.tables.fg_c import fg_c
from ndr.tables.machines import machines
from ndr.tables.prediction_feature_join import prediction_feature_join
from ndr.tables.predictions import predictions
from ndr.tables.slow_beacons import slow_beacons
from ndr.time import DAY, EPOCH, SLICE, Interval, floor

BEHAVIOUR = (fg_a, beacons, slow_beacons)
PUBLISHED = tuple(table for table in TABLES.values() if table.published)
_LATER = (*PUBLISHED, fg_c)
SCORES = (predictions, prediction_feature_join)
_AFTERMATH = timedelta(days=31)
"""How long a session can matter to windows after it: 30 days of lookback and the longest window."""


@dataclass(frozen=True)
class Built:
    """What a run made: parts by table, and the intervals of behaviour, of deviations and of predictions among them."""

    parts: Mapping[str, int]
    behaviour: Interval | None
    deviations: Interval | None
    predictions: Interval | None = None
    within: Interval | None = None
    """Where the news lay; None for everywhere."""


def build_features(shop: Workshop, progress: Callable[[str, int, int], None] | None = None) -> Built:
    """Make the features that are missing because of imports that no finished run has built on.

    Everything when nothing is new. A run is finished by :func:`build_scores`.
    """
    within = _affected(shop)
    first = plan_behaviour(shop, within)
    made = run(first, shop, progress)
    second = plan_deviations(shop, within)
    made |= run(second, shop, progress)
    return Built(made, _span(first, fg_a), _span(second, fg_c), within=within)


def build_scores(shop: Workshop, built: Built, progress: Callable[[str, int, int], None] | None = None) -> Built:
    """Let the model in force, if there is one, score what was built, and finish the run.

    A model that has not scored before scores everything. Predictions are joined with features where the configuration
    has the job ``prediction_feature_join``.
    """
    tables = scored(shop)
    fresh = not shop.ledger.settled_under(settled_by(shop))
    steps = plan_scores(shop, None if fresh else built.within, tables, onward=True)
    made = run(steps, shop, progress)
    shop.ledger.settle(settled_by(shop))
    return replace(built, parts={**built.parts, **made}, predictions=_span(steps, predictions))


def scored(shop: Workshop) -> list[Table]:
    """Predictions, and what is made of them where it is asked for."""
    return [table for table in SCORES if table is predictions or table.job in shop.config.jobs]


def plan_scores(
    shop: Workshop, within: Interval | None, tables: Sequence[Table] = (predictions,), *, onward: bool = False,
    references: Collection[datetime] = (),
) -> list[Step]:  # fmt: skip
    """What the model in force has not scored yet of the deviations that there are; nothing without a model.

    ``onward`` looks also at what is compared with baselines that look at the interval, however much later it is, or
    with those of the references.
    """
    if shop.model is None:
        return []
    trusted = [table for table in TABLES.values() if table not in SCORES]
    planner = Planner(shop.config, shop.ledger, shop.lake, trusted, shop.model.version)
    spans = [within, *(_served(shop, within, references) if onward and within else ())]
    return planner.plan_each(tables, [one for span in spans for one in inhabited(shop, span)])


def _span(steps: Sequence[Step], table: Table) -> Interval | None:
    starts = [key.start for step in steps if step.table is table for key in step.ids]
    return Interval(min(starts), max(starts) + SLICE) if starts else None


def settled_by(shop: Workshop) -> str:
    """What the tables depend on besides the sessions: configuration, model, inventory, publications asked or dropped.

    One is dropped when older logs come to light; whatever was compared with it is compared with another one then.
    """
    version = shop.config.feature_spec_version
    asked = shop.ledger.asked_publications(version)
    inventory = [part.id for part in shop.ledger.parts(machines.name, machines.version(""))]
    known = set(chain.from_iterable(p.keys() for p in publications(shop.config, shop.ledger)))
    dropped = [part.key for part in shop.ledger.parts(fg_b_host.name, version) if part.key not in known]
    model = shop.model.version if shop.model else ""
    wanted = [table.name for table in scored(shop)]
    told = "\n".join(
        [run_fingerprint(shop.config), *wanted, model, *inventory, *map(str, asked.items()), *map(str, dropped)]
    )
    return hashlib.sha256(told.encode()).hexdigest()


def _affected(shop: Workshop) -> Interval | None:
    """The interval in which news can change anything; None for everything."""
    return reach_of_news(shop) if shop.ledger.settled_under(settled_by(shop)) else None


def reach_of_news(shop: Workshop) -> Interval | None:
    """The interval in which imports that no finished run has built on can change anything; None without such.

    A later arrival than any before is news for the time since then too: nothing was made of what had not ended.
    """
    news = shop.ledger.unsettled()
    if not news:
        return None
    before, last = shop.ledger.settled_arrival(), shop.ledger.last_arrival()
    if before and last and before < last:
        news.append(floor(before, DAY))
    return Interval(min(news), max(news) + _AFTERMATH)


def inhabited(shop: Workshop, within: Interval | None = None) -> list[Interval]:
    """Where there are data, or were until the last import."""
    ledger = shop.ledger
    near = Interval(within.start - DAY, within.end) if within else None
    starts, last = set(ledger.slice_starts(near)), ledger.last_arrival()
    withdrawn = {start for start in ledger.unsettled() if near is None or near.contains(start)} - starts
    known = [each.within(Interval(EPOCH, last)) for each in stretches(starts)] if last else []
    return [one for each in (*known, *stretches(withdrawn)) if each and (one := each.within(within))]


def plan_behaviour(shop: Workshop, within: Interval | None = None) -> list[Step]:
    """What is missing of what hosts did, and of the beacons that its moments are held against: the latest before each.

    After a pause those were scored at a midnight, or an hour, before there was any session again.
    """
    there = inhabited(shop, within)
    chosen = [*there, *(Interval(floor(each.start, DAY) - DAY, each.start) for each in there)]
    return Planner(shop.config, shop.ledger, shop.lake).plan_each(BEHAVIOUR, chosen)


def plan_everywhere(shop: Workshop, tables: Sequence[Table], within: Interval | None = None) -> list[Step]:
    """What is missing to have the tables wherever there are data; of published tables, the publications there."""
    chosen = inhabited(shop, within)
    if any(table.published for table in tables):
        chosen += _midnights(p for p in publications(shop.config, shop.ledger) if _asked_for(p, within))
    model = shop.model.version if shop.model and any(table.by_model for table in tables) else ""
    return Planner(shop.config, shop.ledger, shop.lake, model=model).plan_each(tables, chosen)


def _asked_for(publication: Publication, within: Interval | None) -> bool:
    return within is None or within.contains(publication.reference)


def _midnights(chosen: Iterable[Publication]) -> list[Interval]:
    return [Interval(p.reference, p.reference + DAY) for p in chosen]


def plan_deviations(
    shop: Workshop, within: Interval | None = None, references: Collection[datetime] = ()
) -> list[Step]:
    """What is missing of baselines and deviations, given the behaviour that exists; of references, wherever they serve.

    Baselines of a reference time are looked at when news lie in what they look at, or when they were never made; where
    they are made, or were by a run that did not finish, so are the deviations from them.
    """
    known = publications(shop.config, shop.ledger)
    made = {part.key.start for part in shop.ledger.parts(fg_b_host.name, shop.config.feature_spec_version)}
    chosen = [p for p in known if within is None or p.reference not in made or _looks_at(p, within)]
    trusted = {table for table in TABLES.values() if table not in {*_LATER, *SCORES}}
    planner = Planner(shop.config, shop.ledger, shop.lake, trusted)
    fresh = planner.plan_each(PUBLISHED, _midnights(chosen))
    remade = {key.start for step in fresh for key in step.ids} | set(references)
    spans = [within, *_served(shop, within, remade)]
    intervals = [one for span in spans for one in inhabited(shop, span)]
    return planner.plan_each(_LATER, [*_midnights(chosen), *intervals])


def _served(shop: Workshop, news: Interval | None, remade: Collection[datetime] = ()) -> list[Interval]:
    """The moments that are, or were, compared with baselines that look at the news or were made again, or more."""
    version = shop.config.feature_spec_version
    known, records = publications(shop.config, shop.ledger), shop.ledger.publication_records(version)
    asked = shop.ledger.asked_publications(version)
    found = []
    for p in known:
        if p.reference in remade or (news and _looks_at(p, news)):
            record = records.get(p.reference, {})
            looked_back = p.provisional or bool(record.get("provisional")) or asked.get(p.reference, False)
            found.append(_service(p, known, looked_back=looked_back))
    return found


def _looks_at(publication: Publication, news: Interval) -> bool:
    return any(each.start < news.end and news.start < each.end for each in publication.horizons.values())


def _service(publication: Publication, known: Sequence[Publication], *, looked_back: bool) -> Interval:
    """The interval of the moments that are, or were, compared with a publication, or more."""
    later = [p.reference for p in known if not p.provisional and p.reference > publication.reference]
    start = publication.reference - (SERVICE if looked_back else SLICE)
    return Interval(start, min([publication.reference + SERVICE + SLICE, *later]))
