"""Jobs: the names under which schedulers outside start our work, and the pipelines they form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ndr.errors import UnknownNameError
from ndr.specs import Config

BATCH = ("mini_batch_id", "batch_start_ts_iso", "batch_end_ts_iso")
REFERENCE = ("reference_time_iso", "mode")
MONTH = ("reference_month_iso",)


@dataclass(frozen=True)
class Job:
    """One job: the runtime arguments that say when.

    An optional job is part of a pipeline only where the configuration has it.
    """

    name: str
    arguments: tuple[str, ...]
    doc: str
    optional: bool = False


JOBS: Mapping[str, Job] = {
    job.name: job
    for job in (
        Job("delta_builder", BATCH, "imports a batch of logs and adds it up by host"),
        Job("pair_counts_builder", BATCH, "counts who talked to whom"),
        Job("fg_a_builder", BATCH, "makes what each host did"),
        Job("fg_c_builder", BATCH, "makes how far each host is from its normal"),
        Job("fg_b_builder", REFERENCE, "makes what is normal as of a midnight"),
        Job("machine_inventory_unload", MONTH, "brings the machines of a month from Redshift"),
        Job("inference_predictions", BATCH, "scores the hosts of a batch"),
        Job("prediction_feature_join", BATCH, "joins predictions with features and brings them elsewhere"),
        Job("feature_store_ingest", BATCH, "sends the rows of a batch to the Feature Store", optional=True),
        Job("model_training", REFERENCE, "trains a model on the deviations before a midnight", optional=True),
        Job("non_persistent_prefixes", (), "tells which names of machines come and go"),
        Job("project_parameters", (), "tells the settings that all tables share"),
    )
}
"""Every job of the outside; the last two build nothing, and say how their specs are understood."""


@dataclass(frozen=True)
class Pipeline:
    """A list of jobs, each after the one before."""

    name: str
    jobs: tuple[str, ...]
    doc: str

    @property
    def arguments(self) -> tuple[str, ...]:
        """The runtime arguments of all its jobs."""
        return JOBS[self.jobs[0]].arguments

    def steps(self, config: Config) -> tuple[Job, ...]:
        """The jobs that the configuration asks for."""
        found = (JOBS[name] for name in self.jobs)
        return tuple(job for job in found if not job.optional or job.name in config.jobs)


PIPELINES: Mapping[str, Pipeline] = {
    each.name: each
    for each in (
        Pipeline(
            "15m_streaming", ("delta_builder", "pair_counts_builder", "fg_a_builder", "fg_c_builder"),
            "what hosts did in a quarter hour, and how far off they are",
        ),
        Pipeline("fg_b_baseline", ("fg_b_builder", "model_training"), "what is normal, as of a reference time"),
        Pipeline("machine_inventory_unload", ("machine_inventory_unload",), "the machines of a month, from Redshift"),
        Pipeline("inference_predictions", ("inference_predictions",), "how unusual each host is"),
        Pipeline(
            "prediction_feature_join", ("prediction_feature_join", "feature_store_ingest"),
            "predictions with their features, to other systems",
        ),
    )
}  # fmt: skip


def job_named(name: str) -> Job:
    """The job of a name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in JOBS:
        raise UnknownNameError("job", name, JOBS)
    return JOBS[name]
