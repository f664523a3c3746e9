"""The models on offer."""

from __future__ import annotations

from spira.infra.documents.port import Document, Documents, update
from spira.kernel.clock import Clock
from spira.kernel.errors import NotFound
from spira.kernel.ids import new_id
from spira.serving.core.inference import NewModel, ServedModel
from spira.serving.ports import COLLECTIONS, MODELS


def declare(documents: Documents) -> None:
    """Make the collections; idempotent."""
    for collection in COLLECTIONS:
        documents.declare(collection)


def add_model(new: NewModel, *, documents: Documents, clock: Clock) -> ServedModel:
    """Offer a new model. Raises Conflict when the name is taken."""
    model = ServedModel(id=new_id(), created_at=clock(), **new.model_dump())
    return ServedModel.model_validate(documents.insert(MODELS.name, model.document()))


def pin_model(id: str, new: NewModel, *, documents: Documents) -> ServedModel:
    """Offer another version under the same name: requests accepted from now on get it. Raises NotFound."""

    def change(document: Document) -> Document | None:
        changed = {**document, **new.model_dump(mode="json", exclude={"name"})}
        return None if changed == document else changed

    if get_model(id, documents=documents).name != new.name:
        raise NotFound(f"model {id} is not called {new.name!r}")
    return ServedModel.model_validate(update(documents, MODELS.name, id, change))


def offer_model(new: NewModel, *, documents: Documents, clock: Clock) -> ServedModel:
    """Offer `new`, whether its name was known or not."""
    for known in documents.find(MODELS.name, {"name": new.name}, limit=1):
        return pin_model(known["id"], new, documents=documents)
    return add_model(new, documents=documents, clock=clock)


def get_model(id: str, *, documents: Documents) -> ServedModel:
    """Raises NotFound."""
    return ServedModel.model_validate(documents.get(MODELS.name, id))


def list_models(*, documents: Documents) -> list[ServedModel]:
    """All models, by name."""
    return [ServedModel.model_validate(one) for one in documents.find(MODELS.name, sort=("name",))]
