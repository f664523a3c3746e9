"""Score the model in production on a newer data set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException

from spira.orchestration import approval
from spira.orchestration.pods import pod

DOC = """
### Test the model in production on newer data

**Owner:** the SPIRA training team.

`rescore` is a pod that runs what `spira evaluate` runs: validation of the data, figures with intervals, bias battery
and all gates, for the version with the alias `production`, else `challenger`. `verdict` fails when a gate failed, so
that the run is red and alerts; NOT ENOUGH DATA does not fail it.

**Triage**

* `rescore refused: …`: the line names the field, file or row. People whom the model was trained on are refused too,
  unless the form allows them.
* `verdict` failed: its log names each failed gate with its reason, and the report in the object store. Roll back
  with `spira models`, or train again.
"""


def optional(title: str, description: str) -> Param:
    return Param(None, type=["null", "string"], title=title, description=description)


PARAMS = {
    "model": Param("robust", type="string", minLength=1, title="Model", description="Name in the registry."),
    "manifest": Param(
        type="string",
        minLength=1,
        title="Data set",
        description="Manifest of the recordings, s3://… to a CSV or Parquet file, or dataset:SERIES.",
    ),
    "noise": optional("Noise bank", "Manifest of noise recordings, for the bias battery."),
    "overrides": Param(
        [],
        type="array",
        items={"type": "string", "pattern": "^[a-z_.]+=.*$"},
        title="Overrides",
        description="Such as dataset.columns.participant_id=hash, one per line.",
    ),
    "allow_seen": Param(
        False, type="boolean", title="Allow people of the training", description="The figures flatter."
    ),
}


@dag(
    dag_id="spira_evaluation",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params=PARAMS,
    doc_md=DOC,
    tags=["spira", "training"],
    default_args={"owner": "spira-training"},
)
def spira_evaluation() -> None:
    @task
    def verdict(scored: dict[str, Any]) -> dict[str, Any]:
        """Fail where a gate failed, with its reason; otherwise give the figures."""
        failed = approval.failed_gates(scored)
        if failed:
            raise AirflowFailException("\n".join(["failed gates", *failed]))
        told: dict[str, Any] = scored["told"]
        return told

    verdict(pod("rescore").output)


DAG = spira_evaluation()
