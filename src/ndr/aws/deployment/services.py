"""What services of AWS have to be allowed that work on our files: Redshift, and the offline store of Feature Store."""

from __future__ import annotations

from ndr.aws.policy import Account, Statement, allow, destination, key_use, places
from ndr.places import lake_root, mounts
from ndr.specs import Config
from ndr.tables.feature_groups import FeatureStore
from ndr.tables.inventory_unload import InventoryUnload


def copied(config: Config, here: Account | None = None) -> dict[str, list[Statement]]:
    """Role of Redshift -> what it has to be allowed on S3, for UNLOAD of machines and COPY of joined predictions.

    Raises:
        SpecError: a spec breaks a rule.
    """
    here = here or Account()
    found: dict[str, list[Statement]] = {}
    unload = config.other("machine_inventory_unload")
    if isinstance(unload, InventoryUnload):
        said = places("Unload", here, [unload.output.s3_prefix], ("s3:GetObject", "s3:PutObject"))
        bucket, _ = here.bucket(unload.output.s3_prefix)
        found.setdefault(unload.redshift.iam_role, []).extend(
            [*said, allow("UnloadRegion", ("s3:GetBucketLocation",), [bucket])]
        )
    if table := destination(config).redshift:
        place = mounts(config).get("prediction_feature_join") or f"{lake_root(config)}/prediction_feature_join"
        found.setdefault(table.iam_role, []).extend(places("Copy", here, [place], ("s3:GetObject",)))
    return found


def offline_store(config: Config, here: Account | None = None) -> list[Statement]:
    """What Feature Store itself has to be allowed for an offline store; nothing where another role is named for it.

    Raises:
        SpecError: the spec breaks a rule.
    """
    here = here or Account()
    spec = config.other("feature_store_ingest")
    if not isinstance(spec, FeatureStore) or "offline" not in spec.stores or spec.role_arn:
        return []
    bucket, prefix = here.bucket(str(spec.offline_s3_prefix))
    known = ("catalog", "database/sagemaker_featurestore", "table/sagemaker_featurestore/*")
    glue = [here.arn("glue", each, spec.region) for each in known]
    found = [
        allow("OfflineFiles", ("s3:GetObject", "s3:PutObject"), [f"{bucket}/{prefix}*"]),
        allow("OfflineBucket", ("s3:GetBucketAcl", "s3:GetBucketLocation"), [bucket]),
        allow("OfflineTables", ("glue:GetTable", "glue:UpdateTable"), glue),
    ]
    return [*found, key_use(spec.kms_key_id, here, spec.region)] if spec.kms_key_id else found
