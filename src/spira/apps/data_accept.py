"""`spira data accept`: a checked data set becomes the one that later ones are compared with, and is announced."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spira.apps.data_validate import WORKSPACE, checked_data

if TYPE_CHECKING:
    from spira.apps.training_settings import TrainingSettings
    from spira.infra.objects.port import Objects
    from spira.kernel.messages import DatasetAccepted
    from spira.training.core.drift import Shift, Summary
    from spira.training.ports import Announce


def accept(
    manifest: Annotated[Path, typer.Argument(help="Data set: CSV or Parquet.")],
    *,
    name: Annotated[str, typer.Option(help="Series of data sets that follow each other (dataset.series).")] = "default",
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Such as columns.participant_id=hash.")
    ] = None,
    workspace: Annotated[Path, typer.Option(help="Folder of the objects, unless SPIRA_OBJECTS_URL says.")] = WORKSPACE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a data set, keep what it looks like, and announce it on spira.datasets.accepted (SPIRA_BROKER_URL).

    A data set with a problem is not accepted. Shifts from the last accepted one are told and stop nothing here: to
    accept is to know them.
    """
    from spira.apps.training_inputs import location_of
    from spira.apps.training_settings import in_workspace
    from spira.infra.stores import open_objects
    from spira.training.use_cases.accept_dataset import accept_dataset

    settings = in_workspace(workspace)
    objects = open_objects(settings.objects_url)
    overrides = [f"dataset.series={name}", *(f"dataset.{text}" for text in override or ())]
    before = _before(name, objects)
    checked = checked_data(manifest, noise=None, evaluation=None, overrides=overrides, quiet=as_json, accepted=before)
    announce = _announcer(settings)
    accepted = accept_dataset(
        checked, manifest=location_of(str(manifest)), series=name, store=objects, announce=announce
    )
    told = accepted.model_dump(mode="json", exclude={"summary"}) | {
        "record": accepted.key,
        "announced": announce is not None,
        "shifts": [shift.as_dict() for shift in checked.shifts],
    }
    if as_json:
        typer.echo(json_text.dumps(told, ensure_ascii=False))
        return
    _show(told, checked.shifts)


def _before(series: str, objects: Objects) -> Summary | None:
    from spira.training.use_cases.accept_dataset import last_accepted, read_accepted

    key = last_accepted(series, store=objects)
    return None if key is None else read_accepted(key, store=objects).summary


def _announcer(settings: TrainingSettings) -> Announce | None:
    """None where the environment names no broker."""
    if "broker_url" not in settings.model_fields_set:
        return None
    from spira.infra.broker.port import Record
    from spira.infra.stores import open_broker
    from spira.kernel.topics import DATASETS_ACCEPTED

    broker = open_broker(settings.broker_url)

    def announce(message: DatasetAccepted) -> None:
        broker.publish([Record(topic=DATASETS_ACCEPTED, key=message.series, value=message.to_bytes())])
        broker.close()

    return announce


def _show(told: dict[str, object], shifts: tuple[Shift, ...]) -> None:
    for shift in shifts:
        typer.echo(f"  {shift.name}: {shift.verdict}, {shift.reason}")
    typer.echo(f"accepted {told['patients']} patients and {told['controls']} controls as {told['record']}")
    typer.echo("announced" if told["announced"] else "not announced: SPIRA_BROKER_URL names no broker")
