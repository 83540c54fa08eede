"""What every section of a model file is built from: frozen, strict, no unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Column = Annotated[str, Field(min_length=1, max_length=200)]


class Section(BaseModel):
    """A section of a model file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
