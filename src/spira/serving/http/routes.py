"""The routes of serving, each with its policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from spira.infra.documents.port import Documents
from spira.infra.http.access import allow
from spira.infra.http.app import BEARER, answers
from spira.kernel.access import ROLES
from spira.kernel.clock import Clock
from spira.privacy.sealed_objects import SealedObjects
from spira.serving.core.inference import NewModel
from spira.serving.http.submission import read_submission
from spira.serving.http.views import (
    Accepted,
    InferenceList,
    InferencePath,
    InferenceView,
    ModelList,
    ModelPath,
    ModelView,
    Page,
    ResultAnswer,
    UserPath,
    submission_body,
)
from spira.serving.use_cases import models, read
from spira.serving.use_cases.accept import AcceptRules, accept

Answer = tuple[dict[str, Any], int, dict[str, str]]
POLL_AFTER_S = 1


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the routes of serving work with."""

    documents: Documents
    objects: SealedObjects
    clock: Clock
    rules: AcceptRules = field(default_factory=AcceptRules)


def blueprint(services: Services) -> APIBlueprint:
    """The routes of serving below `/v1`."""
    api = APIBlueprint("serving", __name__, url_prefix="/v1", abp_tags=[Tag(name="serving")], abp_security=BEARER)
    _mount_models(api, services)
    _mount_inferences(api, services)
    return api


def _mount_models(api: APIBlueprint, services: Services) -> None:
    documents = services.documents

    @api.get("/models", responses=answers(401) | {200: ModelList})
    @allow(*ROLES)
    def list_models() -> dict[str, Any]:
        """All models on offer."""
        return ModelList(models=[ModelView.of(one) for one in models.list_models(documents=documents)]).model_dump()

    @api.get("/models/<string:model_id>", responses=answers(401, 404, 422) | {200: ModelView})
    @allow(*ROLES)
    def get_model(path: ModelPath) -> dict[str, Any]:
        """One model."""
        return ModelView.of(models.get_model(path.model_id, documents=documents)).model_dump()

    @api.post("/models", responses=answers(400, 401, 403, 409, 415, 422) | {201: ModelView})
    @allow("admin", "operator")
    def create_model(body: NewModel) -> Answer:
        """Offer a model that the registry holds."""
        model = models.add_model(body, documents=documents, clock=services.clock)
        return ModelView.of(model).model_dump(), 201, {"Location": f"/v1/models/{model.id}"}

    @api.put("/models/<string:model_id>", responses=answers(400, 401, 403, 404, 415, 422) | {200: ModelView})
    @allow("admin", "operator")
    def pin_model(path: ModelPath, body: NewModel) -> dict[str, Any]:
        """Offer another version under the same name; requests accepted before keep theirs."""
        return ModelView.of(models.pin_model(path.model_id, body, documents=documents)).model_dump()


def _mount_inferences(api: APIBlueprint, services: Services) -> None:
    documents = services.documents
    base = "/users/<string:uid>/inferences"

    @api.post(
        base,
        responses=answers(400, 401, 403, 409, 413, 415, 422, 503) | {201: Accepted},
        openapi_extensions=submission_body(),
    )
    @allow(own=("admin", "clinician", "service"))
    def create_inference(path: UserPath) -> Answer:
        """Submit a person's recordings.

        The recordings are decoded and judged before the answer: a 422 names each one at fault. With an
        `Idempotency-Key` a repeated call gets the receipt of the first.
        """
        inference = accept(
            read_submission(), documents=documents, objects=services.objects, clock=services.clock, rules=services.rules
        )
        location = f"/v1/users/{path.uid}/inferences/{inference.id}"
        return Accepted.of(inference).model_dump(mode="json"), 201, {"Location": location}

    @api.get(base, responses=answers(401, 403, 422) | {200: InferenceList})
    @allow("auditor", own=("admin", "clinician", "service"))
    def list_inferences(path: UserPath, query: Page) -> dict[str, Any]:
        """The user's requests, newest first."""
        found = read.list_inferences(
            user_id=path.uid, documents=documents, status=query.status, before=query.before, limit=query.limit
        )
        return InferenceList(inferences=[InferenceView.of(one) for one in found]).model_dump(mode="json")

    @api.get(f"{base}/<string:iid>", responses=answers(401, 403, 404, 422) | {200: InferenceView})
    @allow("auditor", own=("admin", "clinician", "service"))
    def get_inference(path: InferencePath) -> dict[str, Any]:
        """One request and where it stands."""
        found = read.get_inference(path.iid, user_id=path.uid, documents=documents)
        return InferenceView.of(found).model_dump(mode="json")

    @api.get(f"{base}/<string:iid>/result", responses=answers(401, 403, 404, 422) | {200: ResultAnswer})
    @allow("auditor", own=("admin", "clinician", "service"))
    def get_result(path: InferencePath) -> Answer:
        """The result of record. While the request is processing, `result` is null and `Retry-After` says when to ask
        again; a request always ends, by its `deadline` at the latest."""
        inference, result = read.get_result(path.iid, user_id=path.uid, documents=documents)
        headers = {"Retry-After": str(POLL_AFTER_S)} if result is None else {}
        return ResultAnswer.of(inference, result).model_dump(mode="json"), 200, headers
