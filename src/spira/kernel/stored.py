"""Base of what is kept in the document store."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer

from spira.kernel.clock import to_text

Moment = Annotated[datetime, PlainSerializer(to_text, when_used="json")]
"""A point in time whose stored text sorts in the order of time."""


class Stored(BaseModel):
    """A document: fields of later schema versions are left alone, those of earlier ones have defaults."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    id: str
    schema_version: int = 1
    created_at: Moment
    version: int = 0
    """Of the document, counted by the store."""

    def document(self) -> dict[str, Any]:
        """JSON values, as the store takes them."""
        return self.model_dump(mode="json")
