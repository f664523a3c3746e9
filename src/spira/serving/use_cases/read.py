"""Reading inferences and results, always within one user's own."""

from __future__ import annotations

from spira.infra.documents.port import Between, Documents, Scalar
from spira.kernel.errors import NotFound
from spira.serving.core.inference import Inference, Result, Status
from spira.serving.ports import INFERENCES, RESULTS


def list_inferences(
    *,
    user_id: str,
    documents: Documents,
    status: Status | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[Inference]:
    """The user's inferences, newest first, older than the id `before`."""
    where: dict[str, Scalar | Between] = {"user_id": user_id}
    if status is not None:
        where["status"] = status
    if before is not None:
        where["id"] = Between(high=before)
    found = documents.find(INFERENCES.name, where, sort=("-id",), limit=limit)
    return [Inference.model_validate(one) for one in found]


def get_inference(iid: str, *, user_id: str, documents: Documents) -> Inference:
    """Raises NotFound, also when it is somebody else's: strangers learn nothing from an id."""
    found = documents.find(INFERENCES.name, {"id": iid, "user_id": user_id}, limit=1)
    if not found:
        raise NotFound("no such inference")
    return Inference.model_validate(found[0])


def get_result(iid: str, *, user_id: str, documents: Documents) -> tuple[Inference, Result | None]:
    """The inference and its result of record, None while there is none. Raises NotFound."""
    inference = get_inference(iid, user_id=user_id, documents=documents)
    if inference.status == "processing":
        return inference, None  # a result already written counts once the inference says so
    found = documents.find(RESULTS.name, {"inference_id": iid, "model": inference.model}, limit=1)
    return inference, Result.model_validate(found[0]) if found else None
