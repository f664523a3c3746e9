"""Receipts: what the last act of a step's process leaves for the run that started it.

The step's manifest is the truth, and its address follows from its contents; whoever only watches a pod can't know it.
So the process writes one small object under a key that the run chose: either where the manifest is and what people
want to read of it, or why the step was refused. A receipt without its manifest counts for nothing.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from spira.infra.objects.port import Objects
from spira.kernel import errors
from spira.kernel.errors import Forbidden, InvalidInput, NotFound, Problem, SpiraError, Unavailable
from spira.kernel.ids import sha256_hex

REFUSED_EXIT_CODES = frozenset({2, 3, 4, 5})
"""Exit codes of `spira` for input, configuration or state that another try would meet again (InvalidInput, NotFound,
Conflict, Forbidden). All others, such as 6 for a store that does not answer, may go away."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._=+-]+")
_READABLE = 80


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Receipt(_Value):
    """A step that is done."""

    kind: Literal["done"] = "done"
    label: str
    manifest: str
    """Object key of what makes it true: the step's manifest, or the plan that `prepare` stored."""
    reused: bool = False
    repaired: tuple[str, ...] = ()
    told: dict[str, Any] = Field(default_factory=dict)
    """Small facts for people and for the next tasks; the outputs hold the rest."""


class Refusal(_Value):
    """A step that ended with an error that its process understood."""

    kind: Literal["refused"] = "refused"
    label: str
    error: str
    """Name of the error's class in `spira.kernel.errors`."""
    message: str
    problems: tuple[dict[str, str], ...] = ()

    @property
    def permanent(self) -> bool:
        """Whether another try would end the same way."""
        kind = getattr(errors, self.error, SpiraError)
        return issubclass(kind, InvalidInput | NotFound | errors.Conflict | Forbidden)

    def lines(self) -> str:
        """The message, or one line for each problem where there are several."""
        if len(self.problems) < 2:
            return self.message
        return "\n".join([f"{len(self.problems)} problems", *(str(Problem(**one)) for one in self.problems)])


_Any = TypeAdapter[Receipt | Refusal](Annotated[Receipt | Refusal, Field(discriminator="kind")])


def refusal_of(error: SpiraError, *, label: str) -> Refusal:
    problems = error.problems if isinstance(error, InvalidInput) else ()
    return Refusal(
        label=label,
        error=type(error).__name__,
        message=str(error),
        problems=tuple(problem.as_dict() for problem in problems),
    )


def receipt_key(dag: str, run: str, label: str) -> str:
    """The same for every try of a task. Run ids hold colons and may be long: they are shortened, and stay distinct."""
    return f"runs/{_safe(dag)}/{_safe(run)}/{label}.json"


def write_receipt(objects: Objects, key: str, receipt: Receipt | Refusal) -> None:
    objects.put(key, receipt.model_dump_json(indent=1).encode())


def read_receipt(objects: Objects, key: str) -> Receipt | Refusal | None:
    """None where there is none, or where the manifest that it names is not there: then nothing was done.

    Raises Unavailable, and Unavailable too for an object that is no receipt: somebody else wrote there.
    """
    try:
        receipt = _Any.validate_json(objects.get(key))
        if isinstance(receipt, Receipt):
            objects.stat(receipt.manifest)
    except NotFound:
        return None
    except ValidationError as error:
        raise Unavailable(f"{key} is no receipt; delete it and run the step again") from error
    return receipt


def _safe(text: str) -> str:
    readable = _UNSAFE.sub("-", text)[:_READABLE].strip(".-")
    return readable if readable == text else f"{readable}-{sha256_hex(text.encode())[:8]}"
