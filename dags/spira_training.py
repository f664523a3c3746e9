"""Train a model from an accepted data set, judge it, register it and ask a person."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Asset, AssetWatcher, Param, dag, task

from spira.orchestration import approval
from spira.orchestration.accepted_datasets import AcceptedDatasets
from spira.orchestration.form import PRESETS
from spira.orchestration.pods import pod

ACCEPTED = Asset(
    "spira.datasets.accepted", watchers=[AssetWatcher(name="accepted-datasets", trigger=AcceptedDatasets())]
)

DOC = """
### Train a model

**Owner:** the SPIRA training team. Every task but the last two is a pod; its log shows here while it runs.

`prepare` turns the form into a plan → `validate` → `features` (one pod per shard) → `train` (one pod per fold and part)
→ `ensemble` → `evaluate`, `cross-validate` → `publish` → `approve` (a person) → `confirm`.

**What counts** is a step's manifest in the object store, not the phase of its pod. A step whose manifest is there
with the same inputs, code and settings is not done again, in this run or any other: its task says `reused`.

**Pause and go on.** Pausing the DAG lets running pods end and starts no further task; unpausing goes on. Marking a task
as failed ends its pod; clearing it starts a new one, and training continues from its last checkpoint.

**Triage**

* `step … refused: …` and no retry: data or settings are wrong, and the line names the field, file or row. Mend it and
  trigger again; what was done is reused.
* Retries with growing pauses: a store, the registry or the cluster did not answer, or memory ran out (`OOMKilled`).
  The last line says which; for memory, raise `sizes` in the Airflow variable `spira_training`.
* `succeeded and left no manifest`: pods and Airflow name different object stores, or the image is no step. Compare the
  variable `spira_training` with the pods' ConfigMap.
* `publish` refused for a failed gate: the model is worse than it must be, or leans on the recording channel. Nothing
  was registered; the report that `evaluate` names says what was measured.
* Nobody answered `approve`: the version stays registered as `challenger`. Answer under *Required Actions*.

**A newly accepted data set** (`spira data accept`) starts a run with its manifest; other fields keep their defaults.
The asset `spira.datasets.accepted` hears of it from the topic of that name where the variable `spira_training` has a
`broker_url`, or by an event posted to `/api/v2/assets/events`: `{"asset_id": …, "extra": {"manifest": "s3://…"}}`.
"""


def text(title: str, description: str, **schema: Any) -> Param:
    """A field that may stay empty."""
    return Param(None, type=["null", "string"], title=title, description=description, **schema)


def number(default: int | None, title: str, description: str, *, low: int, high: int) -> Param:
    kind = "integer" if default is not None else ["null", "integer"]
    return Param(default, type=kind, minimum=low, maximum=high, title=title, description=description)


def switch(default: bool, title: str, description: str) -> Param:
    return Param(default, type="boolean", title=title, description=description)


PARAMS = {
    "manifest": text("Data set", "Manifest of the recordings, s3://… to a CSV or Parquet file."),
    "noise": text("Noise bank", "Manifest of noise recordings for noisy copies of the training set."),
    "evaluation": text("Frozen evaluation data set", "Manifest of people who must take no part in training."),
    "evaluation_sha256": text(
        "Its digest", "SHA-256 of that manifest; the run is refused when it differs.", pattern="^([0-9a-f]{64})?$"
    ),
    "preset": Param("robust", enum=list(PRESETS), title="Preset", description="Named configuration."),
    "overrides": Param(
        [], type="array", items={"type": "string", "pattern": "^[a-z_.]+=.*$"}, title="Overrides",
        description="Changes to the preset, one per line: training.epochs=60",
    ),
    "seed": number(None, "Seed", "Empty: the preset's.", low=0, high=2**31 - 1),
    "members": number(None, "Networks", "Size of the ensemble, a seed each; empty: the preset's.", low=1, high=32),
    "cross_validate": switch(False, "Cross-validate", "Train every fold and pool the held-out scores."),
    "shards": number(1, "Feature pods", "Pods that compute features side by side.", low=1, high=64),
    "parts": number(1, "Training pods per fold", "Pods among which the networks are divided.", low=1, high=32),
    "gpus": number(0, "GPUs per training pod", "0: on the CPU, where equal inputs give equal bits.", low=0, high=8),
    "allow_cache": switch(True, "Reuse finished steps", "Off: every step is done again."),
    "allow_label_dependent_noise": switch(
        False, "Allow label-dependent noise", "For the published v1 grid. The bias gates must catch such a model."
    ),
    "model_name": text(
        "Model", "Name in the registry; empty: the preset's.", pattern="^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$"
    ),
}  # fmt: skip


@dag(
    dag_id="spira_training",
    schedule=[ACCEPTED],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=4,
    params=PARAMS,
    doc_md=DOC,
    tags=["spira", "training"],
    default_args={"owner": "spira-training"},
    user_defined_macros={"subject_of": approval.subject_of, "body_of": approval.body_of},
)
def spira_training() -> None:
    @task
    def pieces(prepared: dict[str, Any], step: str) -> list[dict[str, Any]]:
        """What a mapped task is mapped over; Airflow maps over whole values alone."""
        found: list[dict[str, Any]] = prepared["told"]["steps"][step]
        return found

    @task
    def confirm(published: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """Name the version that was approved; promoting it is another command."""
        return approval.confirmation(published, answer)

    def planned(step: str) -> Any:
        return pieces.override(task_id=f"plan-{step}")(prepared, step)

    prepared = pod("prepare").output
    validated = pod("validate", prepared=prepared).output
    computed = pod("features", prepared=prepared, after=[validated], pieces=planned("features")).output
    trained = pod("train", prepared=prepared, after=[validated, computed], pieces=planned("train")).output
    joined = pod("ensemble", prepared=prepared, after=[validated, trained], pieces=planned("ensemble")).output
    evaluated = pod("evaluate", prepared=prepared, after=[validated, joined]).output
    pooled = pod("cross-validate", prepared=prepared, after=[validated, joined]).output
    published = pod(
        "publish",
        prepared=prepared,
        after=[validated, joined, evaluated, pooled],
        trigger_rule="none_failed",  # without cross-validation that task is skipped
    ).output
    approved = ApprovalOperator(
        task_id="approve",
        subject="{{ subject_of(ti.xcom_pull('publish'), ti.xcom_pull('evaluate')) }}",
        body="{{ body_of(ti.xcom_pull('publish'), ti.xcom_pull('evaluate'), ti.xcom_pull('cross-validate')) }}",
        retries=1,
    )
    published.operator >> approved
    answer: Any = approved.output
    confirm(published, answer)


DAG = spira_training()
