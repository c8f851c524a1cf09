"""docs/questions.md: a service registers, fetches a token of its own, and calls a view."""

import shlex
from base64 import b64encode
from io import StringIO
from itertools import pairwise
from re import search
from urllib.parse import urlencode, urlsplit

import pytest
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIRequestFactory

from tests.documented import documented

FORM = "application/x-www-form-urlencoded"
pytestmark = pytest.mark.django_db


@pytest.fixture
def told(settings):
    """The commands of the page, at a site with the settings of docs/oauth.md."""
    named = {}
    exec(documented("oauth.md", "python", '"See your orders"}'), named)
    for name in (name for name in named if name.startswith("AUTHX_")):
        setattr(settings, name, named[name])
    create, fetch = documented("questions.md", "sh", "client_credentials").replace("\\\n", "").splitlines()
    return shlex.split(create), shlex.split(fetch)


def registered(words):
    """The id and the secret that the command prints."""
    assert words[:2] == ["python", "manage.py"]
    printed = StringIO()
    call_command(*words[2:], stdout=printed, stderr=StringIO())
    return search(r'\("([^"]+)", "([^"]+)"\)', printed.getvalue()).groups()


def fetched(words, credentials):
    """The answer to the call of curl."""
    url = next(word for word in words if word.startswith("https:"))
    form = dict(word.split("=") for before, word in pairwise(words) if before == "-d")
    basic = {"Authorization": f"Basic {b64encode(':'.join(credentials).encode()).decode()}"}
    return Client(headers=basic).post(urlsplit(url).path, urlencode(form), FORM, secure=True)


def test_a_service_gets_its_own_token_and_calls_the_view(told):
    create, fetch = told
    client_id, secret = registered(create)
    answer = fetched(fetch, (client_id, secret))
    assert answer.status_code == 200, answer.content
    assert answer.json()["expires_in"] == 300
    names = {}
    exec(documented("questions.md", "python", "is_of_a_service"), names)
    call = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    assert names["Orders"].as_view()(call).data == {"client": client_id, "is_a_service": True}


def test_another_grant_type_is_not_enough(told):
    create, fetch = told
    answer = fetched(
        fetch, registered([*create, "--grant-type", "token_exchange", "--audience", "https://a.example/"])
    )
    assert answer.json()["error"] == "unauthorized_client"
