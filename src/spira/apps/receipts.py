"""Settings of a process that a run started, and the receipt that it leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from spira.apps.training_settings import ReceiptSettings
from spira.infra.objects.port import Objects
from spira.infra.stores import open_objects
from spira.kernel.errors import InvalidInput, Problem, SpiraError
from spira.orchestration.receipts import Receipt, refusal_of, write_receipt

_Kind = TypeVar("_Kind", bound=ReceiptSettings)


def settings_of(kind: type[_Kind]) -> _Kind:
    """Raises InvalidInput that names the variable."""
    try:
        return kind()
    except ValidationError as error:
        raise InvalidInput.of(
            Problem(where=f"SPIRA_{'.'.join(map(str, one['loc'])).upper()}", what=one["msg"]) for one in error.errors()
        ) from error


def with_receipt(settings: ReceiptSettings, name: str, work: Callable[[Objects], Receipt]) -> Receipt:
    """Do the work and leave its receipt, or the refusal that it ended with, where the run looks for it.

    An error other than a SpiraError leaves none: nobody knows what it means, so another try may help.
    """
    objects = open_objects(settings.objects_url)
    label = settings.step_label or name
    try:
        receipt = work(objects).model_copy(update={"label": label})
    except SpiraError as error:
        leave_refusal(error, label=label, settings=settings, objects=objects)
        raise
    if settings.step_receipt:
        write_receipt(objects, settings.step_receipt, receipt)
    return receipt


def leave_refusal(error: SpiraError, *, label: str, settings: ReceiptSettings, objects: Objects) -> None:
    if not settings.step_receipt:
        return
    try:
        write_receipt(objects, settings.step_receipt, refusal_of(error, label=label))
    except SpiraError as unheard:
        sys.stderr.write(f"the refusal could not be left at {settings.step_receipt}: {unheard}\n")
