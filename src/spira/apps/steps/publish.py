"""Step `publish`: the model with its evidence and its card into the registry, or a refusal with reasons."""

from __future__ import annotations

import json
from typing import Any

from spira.apps.steps.bench import config_of, model_folder, read_json
from spira.apps.training_settings import TrainingSettings
from spira.kernel.ids import sha256_hex
from spira.orchestration.workbench import Workbench

_CARD = "card.md"
_CARD_PAGE = "card.html"
_PRIVATE = ("scores.json", "evaluation-scores.json")
"""Scores of single people stay in the object store."""


def publish(bench: Workbench, settings: TrainingSettings) -> None:
    from spira.infra.mlflow_registry import MlflowRegistry
    from spira.training.adapters.card import card_page
    from spira.training.adapters.mlflow_tracker import MlflowTracker
    from spira.training.core.card import write_card
    from spira.training.use_cases.publish import Evidence, refuse_failed
    from spira.training.use_cases.publish import publish as register

    publication = config_of(bench).publication
    evaluation, pooled = read_json(bench, "evaluate", "metrics.json"), _pooled(bench)
    if publication.refuse_failed:
        report = bench.inputs["evaluate"].outputs["report.html"].key
        refuse_failed([evaluation, *([pooled] if pooled else [])], tolerated=publication.tolerated, report=report)
    with model_folder(bench, "ensemble") as folder:
        kept = json.loads((folder / "model.json").read_text())["settings"]
        card = write_card(_facts(bench, settings, name=publication.model_name, model_settings=kept))
        page = card_page(card, title=f"Model card: {publication.model_name}")
        told = register(
            folder,
            name=publication.model_name,
            alias=publication.alias,
            config=read_json(bench, "ensemble", "config.json"),
            evidence=Evidence(
                evaluation=evaluation,
                cross_validation=pooled,
                curves=read_json(bench, "ensemble", "curves.json"),
                datasets=kept["trained_on"],
                attachments=_attachments(bench) | {_CARD: card.encode(), _CARD_PAGE: page},
                card=card,
            ),
            registry=MlflowTracker(
                registry=MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root),
                required_recordings=tuple(kept["required_recordings"]),
            ),
        )
    bench.write(_CARD, card.encode())
    bench.write(_CARD_PAGE, page)
    bench.write_json("published.json", told)


def _pooled(bench: Workbench) -> dict[str, Any] | None:
    return read_json(bench, "cross-validate", "metrics.json") if "cross-validate" in bench.inputs else None


def _facts(bench: Workbench, settings: TrainingSettings, *, name: str, model_settings: dict[str, Any]) -> Any:
    from spira.training.core.card import CardFacts

    made_by = bench.inputs["ensemble"]
    digests = {f"data, {label}": digest for label, digest in sorted(model_settings["trained_on"].items())}
    digests |= {f"outputs of {label}": manifest.digest for label, manifest in sorted(bench.inputs.items())}
    digests["weights"] = sha256_hex(bench.read("ensemble", "weights.safetensors"))
    return CardFacts(
        model=name,
        evaluation=read_json(bench, "evaluate", "metrics.json"),
        cross_validation=_pooled(bench),
        settings=model_settings,
        config=read_json(bench, "ensemble", "config.json"),
        fit=read_json(bench, "ensemble", "fit.json"),
        digests=digests,
        made={
            "code version": model_settings["code_version"],
            "code of the ensemble step (SHA-256)": made_by.code,
            "image": made_by.image or settings.image or "none: local processes",
            "seed": str(made_by.seed),
            "libraries": ", ".join(f"{one} {version}" for one, version in sorted(made_by.libraries.items())),
        },
    )


def _attachments(bench: Workbench) -> dict[str, bytes]:
    found = {name: bench.read("evaluate", name) for name in bench.inputs["evaluate"].outputs if name not in _PRIVATE}
    if "cross-validate" in bench.inputs:
        for name in ("metrics.json", "report.html"):
            found[f"cross-validation-{name}"] = bench.read("cross-validate", name)
    return found
