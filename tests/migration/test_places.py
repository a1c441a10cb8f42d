"""Where on S3 the tables of a configuration lie, and the snapshots of machines beside them."""

from __future__ import annotations

import pytest

from migration.keeping import specs
from ndr.errors import SpecError
from ndr.places import SNAPSHOTS, lake_root, mounts
from ndr.specs import Config, config_of


def test_a_lake_lies_in_a_folder_and_not_in_a_whole_bucket() -> None:
    def outputs(*prefixes: str, **settings: str) -> Config:
        jobs = ("delta_builder", "pair_counts_builder", "fg_b_builder")
        keys = ("output", "pair_counts_output", "fg_b_output")
        said = {job: {key: {"s3_prefix": p}} for job, key, p in zip(jobs, keys, prefixes, strict=False)}
        return config_of({"project_parameters": settings, "jobs": said})

    assert lake_root(outputs("s3://office/ndr/delta", "s3://office/ndr/x/pairs")) == "s3://office/ndr"
    assert lake_root(outputs("s3://office/delta", lake_s3_prefix="s3://office/lake")) == "s3://office/lake"
    for prefixes in (
        ("s3://office/delta", "s3://office/fg_b"),
        ("s3://office/delta",),
        ("s3://a-b-c/x/d", "s3://b-c/x/e"),
    ):
        with pytest.raises(SpecError, match="share no folder"):
            lake_root(outputs(*prefixes))


def unloading(prefix: str, **settings: str) -> Config:
    spec = specs("versioned")["machine_inventory_unload"]
    spec["output"]["s3_prefix"] = prefix
    jobs = {"machine_inventory_unload": spec, "fg_a_builder": {"output_s3_prefix": "s3://office/ndr/fg_a"}}
    return config_of({"project_parameters": settings, "jobs": jobs})


def test_machines_of_the_lake_never_lie_among_the_snapshots_for_others() -> None:
    apart = mounts(unloading("s3://office/machines"))
    assert apart == {"fg_a": "s3://office/ndr/fg_a", SNAPSHOTS: "s3://office/machines"}
    beside = mounts(unloading("s3://office/ndr/machine_inventory/"))
    assert beside[SNAPSHOTS] == "s3://office/ndr/machine_inventory"
    assert beside["machine_inventory"] == "s3://office/ndr/machines"
    assert lake_root(unloading("s3://elsewhere/machines")) == "s3://office/ndr"
    for prefix, root in (("s3://office/lake", "s3://office/lake"), ("s3://office/a", "s3://office/a/lake")):
        with pytest.raises(SpecError, match="lie one in the other"):
            mounts(unloading(prefix, lake_s3_prefix=root))
