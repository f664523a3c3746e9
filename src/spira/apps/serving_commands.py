"""Commands of serving: run its processes, add hospitals and users, submit recordings."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from rich.console import Console
from rich.table import Table

from spira.apps.serving_settings import ApiSettings, ClientSettings, ResultsSettings, WorkerSettings, described
from spira.infra.documents.port import Documents
from spira.kernel.access import Role
from spira.kernel.errors import InvalidInput, Problem
from spira.kernel.settings import StoreSettings

serve_app = typer.Typer(add_completion=False, no_args_is_help=True, help="Run an HTTP API.")
worker_app = typer.Typer(add_completion=False)
results_app = typer.Typer(add_completion=False)
infer_app = typer.Typer(add_completion=False)
hospitals_app = typer.Typer(add_completion=False, no_args_is_help=True, help="Create and list hospitals.")
users_app = typer.Typer(add_completion=False, no_args_is_help=True, help="Create users.")

Model = TypeVar("Model", bound=BaseModel)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@serve_app.callback()
def _serve() -> None:
    """Run an HTTP API."""


@serve_app.command("serving", epilog=described(ApiSettings))
def serve_serving(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Sign-in, users, hospitals, models, inferences and results, until SIGTERM."""
    from spira.apps.api import ApiServer

    settings = ApiSettings(**_given(host=host, port=port))
    origin = f"http://{settings.host}:{settings.port}"
    typer.echo(f"API {origin}/v1 · docs {origin}/docs/", err=True)
    ApiServer(settings).run()


@worker_app.command(epilog=described(WorkerSettings))
def run_worker(
    model: Annotated[str | None, typer.Option(help="Name of the model to answer for.")] = None,
    version: Annotated[str | None, typer.Option(help="Registry version to load first.")] = None,
) -> None:
    """Answer the requests for one model, until SIGTERM."""
    from spira.apps import worker

    worker.main(WorkerSettings(**_given(model=model, model_version=version)))


@results_app.command(epilog=described(ResultsSettings))
def run_results() -> None:
    """Relay accepted requests, write results, fail what waits too long, until SIGTERM."""
    from spira.apps import results

    results.main()


@hospitals_app.callback()
def _hospitals() -> None:
    """Create and list hospitals."""


@hospitals_app.command("create")
def create_hospital(name: Annotated[str, typer.Argument(help="The hospital's name.")], as_json: AsJson = False) -> None:
    """Add a hospital."""
    from spira.identity.core import NewHospital
    from spira.identity.use_cases import people
    from spira.kernel.clock import utc_now

    new = _valid(NewHospital, name=name)
    hospital = people.add_hospital(new, documents=_identity_documents(), clock=utc_now)
    _tell({"id": hospital.id, "name": hospital.name}, as_json=as_json)


@hospitals_app.command("list")
def list_hospitals(as_json: AsJson = False) -> None:
    """All hospitals."""
    from spira.identity.use_cases import people

    for hospital in people.list_hospitals(documents=_identity_documents()):
        _tell({"id": hospital.id, "name": hospital.name}, as_json=as_json)


@users_app.callback()
def _users() -> None:
    """Create users."""


@users_app.command("create")
def create_user(
    username: Annotated[str, typer.Argument(help="3 to 64 of a-z 0-9 . _ -")],
    *,
    email: Annotated[str, typer.Option(help="Where to reach them.")],
    role: Annotated[str, typer.Option(help=", ".join(get_args(Role)))] = "clinician",
    hospital: Annotated[str | None, typer.Option(help="Name or id of their hospital.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the password; - for standard input.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a user. The password comes from --password-file, SPIRA_PASSWORD or a prompt, never from the command line."""
    from spira.identity.adapters.argon2_passwords import Argon2Passwords
    from spira.identity.core import NewUser
    from spira.identity.use_cases import people
    from spira.kernel.clock import utc_now

    documents = _identity_documents()
    hospital_id = people.find_hospital(hospital, documents=documents).id if hospital else None
    password = _password(password_file, confirm=True)
    new = _valid(NewUser, username=username, email=email, role=role, hospital_id=hospital_id, password=password)
    user = people.add_user(new, documents=documents, passwords=Argon2Passwords(), clock=utc_now)
    _tell({"id": user.id, "username": user.username, "role": user.role}, as_json=as_json)


@infer_app.command(epilog=described(ClientSettings))
def infer(
    *,
    model: Annotated[str, typer.Option(help="Name or id of the model.")],
    acceptance: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Spoken consent.")] = None,
    sustained: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Held vowel.")] = None,
    rhyme: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Nursery rhyme.")] = None,
    sentence: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Given sentence.")] = None,
    ambient: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Noise of the room.")] = None,
    field: Annotated[list[str] | None, typer.Option(help="Metadata as NAME=VALUE, e.g. age=44; repeatable.")] = None,
    url: Annotated[str | None, typer.Option(help="Where the API is.")] = None,
    username: Annotated[str | None, typer.Option(help="Who signs in.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the password; - for standard input.")] = None,
    timeout: Annotated[float, typer.Option(help="Most seconds to wait for the result.")] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Submit one person's recordings, wait, print the result."""
    from spira.apps.client import Client

    settings = ClientSettings(**_given(url=url, username=username))
    named = {"acceptance": acceptance, "sustained": sustained, "rhyme": rhyme, "sentence": sentence, "ambient": ambient}
    recordings = {name: path for name, path in named.items() if path is not None}
    fields = dict(_pair(text) for text in field or [])
    console = Console(stderr=True, quiet=as_json)
    with Client(settings.url) as client, console.status("signing in") as status:
        client.sign_in(settings.username, _password(password_file))
        status.update("submitting")
        receipt = client.submit(model=model, recordings=recordings, fields=fields)
        status.update(f"waiting for inference {receipt['inference_id']}")
        answer = client.result(receipt["inference_id"], timeout_s=timeout)
    _tell(_outcome(receipt, answer), as_json=as_json)


def _outcome(receipt: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    result = answer["result"] or {}
    return {
        "inference_id": receipt["inference_id"],
        "status": answer["inference"]["status"],
        "diagnosis": result.get("diagnosis"),
        "scores": result.get("scores", {}),
        "reason": result.get("reason", ""),
        "model": receipt["model"],
        "model_version": receipt["model_version"],
        "warnings": receipt["warnings"],
    }


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput.of([Problem(where="--field", what=f"{text!r} is not NAME=VALUE")])
    return name, value


def _password(file: Path | None, *, confirm: bool = False) -> str:
    settings = ClientSettings()
    if file is not None:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        return text.rstrip("\r\n")
    if settings.password is not None:
        return settings.password.get_secret_value()
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=confirm))


def _identity_documents() -> Documents:
    from spira.identity.use_cases import people
    from spira.infra.stores import open_documents

    documents = open_documents(StoreSettings().documents_url)
    people.declare(documents)
    return documents


def _given(**values: Any) -> dict[str, Any]:
    """What was said on the command line; the rest comes from the environment."""
    return {name: value for name, value in values.items() if value is not None}


def _valid(model: type[Model], **values: Any) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidInput.of(_problem(one, model) for one in error.errors(include_input=False)) from error


def _problem(error: ErrorDetails, model: type[BaseModel]) -> Problem:
    where = ".".join(map(str, error["loc"])) or model.__name__
    return Problem(where=where, what=error["msg"].removeprefix("Value error, "))


def _tell(values: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(values))
        return
    table = Table(show_header=False, box=None)
    for name, value in values.items():
        if value not in (None, "", [], {}):
            table.add_row(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    Console().print(table)
