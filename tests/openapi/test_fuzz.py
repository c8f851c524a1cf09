"""What is generated from the schema: no answer is an error of the server, and each is as the schema says."""

from base64 import b64encode
from collections import Counter
from itertools import cycle
from urllib.parse import unquote

import hypothesis
import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.urls import Resolver404, resolve
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from authx.sessions import open_session
from tests.clients import create_service
from tests.granted import granted, make_client

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

CONFORMANCE = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OURS = "/api/auth/", "/oauth/", "/.well-known/"
EXAMPLES = 12  # of each route, and each way to make them


@pytest.fixture(autouse=True)
def _one_connection():
    """As in Django's test client: the transaction of the test outlives its requests."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


class Site:
    """Who calls, and what is there to be called for."""

    def __init__(self, ada, admin, password):
        self.ada, self.admin, self.password = ada, admin, password
        self.service, self.secret = create_service("orders")
        self.app = make_client("app-1")
        self.turns = cycle(["nobody", "user", "staff", "service", "garbage"])

    def headers(self):
        """Credentials of the next one; of a new session, for the call before may have ended the last."""
        match next(self.turns):
            case "user":
                return {"Authorization": f"Bearer {open_session(self.ada).access_token}"}
            case "staff":
                return {"Authorization": f"Bearer {open_session(self.admin).access_token}"}
            case "service":
                basic = b64encode(f"{self.service.client_id}:{self.secret}".encode()).decode()
                return {"Authorization": f"Basic {basic}"}
            case "garbage":
                return {"Authorization": "Bearer a.b.c", "Cookie": "__Host-authx_access=x; csrftoken=y"}
        return {}

    def real(self, name):
        """What would do in a request; None where anything does."""
        match name:
            case "sid":
                return str(open_session(self.ada).session.pk)
            case "client_id":
                granted(self.app, open_session(self.ada).session)
                return self.app.client_id
            case "id":
                return str(self.ada.pk)
            case "username":
                return self.ada.get_username()
            case "password":
                return self.password
            case "token" | "refresh_token":
                return open_session(self.ada).refresh_token
        return None

    def fill(self, case):
        """Put what would do into a request."""
        for values in (case.path_parameters, case.body, case.query):
            if isinstance(values, dict):
                values.update({name: real for name in values if (real := self.real(name))})


@pytest.fixture
def site(ada, admin, password, settings):
    settings.AUTHX_LOGIN_RATE = settings.AUTHX_ADDRESS_RATE = settings.AUTHX_REFRESH_RATE = None
    return Site(ada, admin, password)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_every_answer_is_as_the_schema_says(mode, site):
    api = schemathesis.openapi.from_wsgi("/schema/?format=json", WSGIHandler())
    found = [result.ok() for result in api.get_all_operations()]
    ours = [operation for operation in found if operation.path.startswith(OURS)]
    seen = Counter()
    for operation in ours:
        seen.update(ask(operation, mode, site))
    assert len(ours) == 26
    if mode is GenerationMode.POSITIVE:
        assert {200, 204, 400, 401, 403, 404} <= set(seen)


def ask(operation, mode, site):
    """Call a route; the statuses of its answers."""
    seen = Counter()

    @hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def call(case, real):
        if real and mode is GenerationMode.POSITIVE:
            site.fill(case)
        answer = case.call(headers=site.headers())
        seen[answer.status_code] += 1
        checks = CONFORMANCE if is_routed(answer.request.path_url) else []
        case.validate_response(answer, checks=[not_a_server_error, *checks])

    if mode is GenerationMode.POSITIVE or can_be_invalid(operation):
        call()
    return seen


def can_be_invalid(operation):
    return bool(operation.body or operation.path_parameters or operation.query or operation.headers)


def is_routed(url):
    """Whether it leads to a view at all; elsewhere, the answer is the site's own 404."""
    try:
        resolve(unquote(url.partition("?")[0]))
    except Resolver404:
        return False
    return True
