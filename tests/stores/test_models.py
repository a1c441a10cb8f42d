"""Models and the safelist, in whatever lake they lie."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from model.rows import COLUMNS, SMALL, matrix
from ndr import artefacts, scoring
from ndr.aws.objects import bring
from ndr.errors import ModelError, SpecError
from ndr.lake import LocalLake
from ndr.model.training import train
from ndr.safelist import FILE, add_entry, entry_of, read_safelist, remove_entry
from ndr.scoring import POINTER, LakeModels
from ndr.specs import Config
from stores.conftest import Stores


@pytest.fixture(scope="module")
def trained() -> tuple[Any, dict[str, Any]]:
    detector, facts = train(matrix(), COLUMNS, SMALL)
    inputs = {"features": scoring._features(Config()), "baselines": "regular"}
    return detector, {**facts, "inputs": inputs, "feature_spec_version": "1"}


def nothing_remote(_: Any) -> Any:
    raise AssertionError


def models(stores: Stores, *, brings: Any = None, **told: Any) -> LakeModels:
    config = Config.model_validate({"jobs": {"inference_predictions": {"model": told}}} if told else {})
    return LakeModels(stores.open(), config, nothing_remote, brings)


def test_a_lake_without_models_has_none_in_force(stores: Stores) -> None:
    assert models(stores).in_force() is None


def test_the_model_that_was_kept_last_is_in_force_for_whoever_opens_the_lake(stores: Stores, trained: Any) -> None:
    detector, facts = trained
    first = models(stores)
    assert first.in_force() is None
    place = first.put(detector, facts)
    assert place == stores.open().path(f"models/isolation_forest/{detector.version}")
    for each in (first, models(stores)):
        found = each.in_force()
        assert found is not None
        assert found.version == detector.version
        assert not each.provisional


def test_a_model_is_the_same_bytes_in_every_lake(stores: Stores, trained: Any) -> None:
    models(stores).put(*trained)
    lake = stores.open()
    for name, data in artefacts.content(*trained).items():
        assert lake.fetch(f"models/isolation_forest/{trained[0].version}/{name}").read_bytes() == data
    assert lake.fetch(POINTER).read_text() == f'{{\n "1": "{trained[0].version}"\n}}\n'


def test_a_model_that_was_tampered_with_is_refused(stores: Stores, trained: Any) -> None:
    models(stores).put(*trained)
    lake = stores.open()
    place = f"models/isolation_forest/{trained[0].version}/manifest.json"
    text = lake.fetch(place).read_text().replace('"max_samples":64', '"max_samples":65')
    Path(lake.stage(place)).write_text(text)
    lake.publish(place)
    with pytest.raises(ModelError, match="cannot be trusted"):
        models(stores).in_force()


@pytest.mark.parametrize("text", ["[]", '{"1": "../../elsewhere"}', "{", '{"1": 5}', "\xff"])
def test_a_pointer_that_names_no_model_is_refused(stores: Stores, text: str) -> None:
    stores.open().amend(POINTER, lambda _: text.encode("latin-1"))
    with pytest.raises(ModelError, match=r"in_force\.json"):
        models(stores).in_force()


def test_pointers_of_other_versions_of_the_features_stay(stores: Stores, trained: Any) -> None:
    stores.open().amend(POINTER, lambda _: json.dumps({"0.9": "abc"}).encode())
    models(stores).put(*trained)
    assert json.loads(stores.open().fetch(POINTER).read_text()) == {"0.9": "abc", "1": trained[0].version}


def test_a_model_that_the_configuration_names_is_used_wherever_it_lies(
    stores: Stores, trained: Any, tmp_path: Path
) -> None:
    place = models(stores).put(*trained)
    lake = stores.open()
    lake.remove(POINTER)
    assert models(stores).in_force() is None

    def named() -> Any:
        files = (artefacts.MANIFEST, artefacts.FOREST)
        return models(stores, model_uri=place, brings=lambda uri: bring(uri, files, tmp_path)).in_force()

    assert named().version == trained[0].version
    lake.remove(f"models/isolation_forest/{trained[0].version}/forest.parquet")
    with pytest.raises(ModelError, match=r"forest\.parquet"):
        named()


def test_a_model_elsewhere_is_refused_where_nothing_can_bring_it(tmp_path: Path) -> None:
    config = Config.model_validate({"jobs": {"inference_predictions": {"model": {"model_uri": "s3://bucket/model"}}}})
    with pytest.raises(ModelError, match="no folder of this machine"):
        LakeModels(LocalLake(tmp_path), config, nothing_remote).in_force()


def entry(host: str) -> Any:
    return entry_of({"host": host, "reason": "known", "owner": "soc"})


def test_a_safelist_is_kept_in_every_lake(stores: Stores) -> None:
    assert read_safelist(stores.open()) == ()
    one, two = entry("10.1.1.1"), entry("10.1.1.2")
    assert add_entry(stores.open(), one) is None
    assert add_entry(stores.open(), two) is None
    assert read_safelist(stores.open()) == (one, two)
    again = one.model_copy(update={"reason": "known better"})
    assert add_entry(stores.open(), again) == one
    assert remove_entry(stores.open(), two.id) == two
    assert read_safelist(stores.open()) == (again,)
    with pytest.raises(SpecError, match="no entry"):
        remove_entry(stores.open(), two.id)


def test_no_entry_is_lost_when_two_people_add_at_once(stores: Stores) -> None:
    def add(first: int) -> None:
        lake = stores.open()
        for number in range(first, first + 3):
            add_entry(lake, entry(f"10.1.1.{number}"))

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(add, first) for first in (10, 20)]:
            done.result()
    assert {each.host for each in read_safelist(stores.open())} == {f"10.1.1.{n}" for n in (10, 11, 12, 20, 21, 22)}


@pytest.mark.parametrize("text", ["[]", "{", "\xff", '{"entries": [{"host": "10.1.1.1"}]}', '{"other": 1}'])
def test_a_safelist_that_cannot_be_understood_is_refused_and_not_written_over(stores: Stores, text: str) -> None:
    raw = text.encode("latin-1")
    stores.open().amend(FILE, lambda _: raw)
    with pytest.raises(SpecError):
        read_safelist(stores.open())
    with pytest.raises(SpecError):
        add_entry(stores.open(), entry("10.1.1.1"))
    assert stores.open().fetch(FILE).read_bytes() == raw
