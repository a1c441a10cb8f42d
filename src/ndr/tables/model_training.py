"""What job ``model_training`` is told."""

from __future__ import annotations

from pydantic import Field

from ndr.tables.settings import Spec


class ModelTraining(Spec):
    """Job ``model_training``."""

    days: int = Field(default=30, ge=1, le=366, description="of deviations before the reference time")
    max_rows: int = Field(default=200_000, ge=100, le=10_000_000, description="an even sample of more")
