"""The serving API with sign-in, users and hospitals on one origin; `python -m spira.apps.api` runs it in gunicorn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from flask_openapi3.openapi import OpenAPI
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # gunicorn ships no types
from werkzeug.middleware.proxy_fix import ProxyFix

from spira import __version__
from spira.apps.serving_settings import ApiSettings
from spira.identity import http as identity_http
from spira.identity.adapters.argon2_passwords import Argon2Passwords
from spira.identity.adapters.jwt_keys import load_or_create
from spira.identity.adapters.jwt_tokens import jwt_issuer
from spira.identity.use_cases import people
from spira.infra import logs
from spira.infra.documents.port import Documents
from spira.infra.http import uploads
from spira.infra.http.app import new_app
from spira.infra.objects.port import Objects
from spira.infra.stores import open_documents, open_objects
from spira.kernel.clock import utc_now
from spira.kernel.errors import NotFound
from spira.privacy.sealed_objects import IdentityCipher, SealedObjects
from spira.serving.http import routes as serving_http
from spira.serving.ports import MODELS
from spira.serving.use_cases import models
from spira.serving.use_cases.accept import AcceptRules
from spira.voice.decode import DecodeLimits

REQUEST_TIMEOUT_S = 120
"""A worker that serves nothing for so long is replaced; slow uploads are bounded by it too."""


def create_app(settings: ApiSettings) -> OpenAPI:
    """The whole application; opens its stores, makes its collections and, the first time, its signing key."""
    documents, objects = open_documents(settings.documents_url), open_objects(settings.objects_url)
    people.declare(documents)
    models.declare(documents)
    keys = load_or_create(settings.keys_dir)
    lifetime = timedelta(minutes=settings.token_minutes)
    app = new_app(
        title="SPIRA: screening for respiratory insufficiency",
        version=__version__,
        checks={"documents": _documents_answer(documents), "objects": _objects_answer(objects)},
        public_keys=keys.public,
        private_key=keys.private,
        token_lifetime=lifetime,
        max_body_bytes=settings.max_request_bytes,
    )
    uploads.install(app, max_part_bytes=settings.max_recording_bytes)
    identity = identity_http.Services(
        documents=documents,
        passwords=Argon2Passwords(),
        issue=jwt_issuer(kid=keys.kid, lifetime=lifetime),
        clock=utc_now,
    )
    app.register_api(identity_http.blueprint(identity))
    rules = AcceptRules(
        decode=DecodeLimits(max_bytes=settings.max_recording_bytes),
        answer_within=timedelta(seconds=settings.answer_within_s),
    )
    sealed = SealedObjects(objects, IdentityCipher())
    serving = serving_http.Services(documents=documents, objects=sealed, clock=utc_now, rules=rules)
    app.register_api(serving_http.blueprint(serving))
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]  # Flask's documented way
    return app


def _documents_answer(documents: Documents) -> Callable[[], object]:
    return lambda: documents.find(MODELS.name, limit=1)


def _objects_answer(objects: Objects) -> Callable[[], object]:
    def ask() -> None:
        with suppress(NotFound):  # the store answered, and that was the question
            objects.stat("ready/probe")

    return ask


class ApiServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn with this application; each process makes its own, after the fork."""

    def __init__(self, settings: ApiSettings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        chosen = {
            "bind": f"{self.settings.host}:{self.settings.port}",
            "workers": self.settings.api_workers,
            "worker_class": "gthread",
            "threads": self.settings.api_threads,
            "timeout": REQUEST_TIMEOUT_S,
            "graceful_timeout": 20,
            "limit_request_line": 4094,
            "proc_name": "spira-api",
            "loglevel": "warning",
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> OpenAPI:
        logs.configure(process="api", level=self.settings.log_level)
        return create_app(self.settings)


def main() -> None:
    """Serve until SIGTERM."""
    ApiServer(ApiSettings()).run()


if __name__ == "__main__":
    main()
