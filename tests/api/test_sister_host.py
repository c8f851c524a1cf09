"""A script of app.example.com that calls api.example.com with its cookies, as docs/questions.md says."""

import pytest
from django.test import Client

APP, API = "https://app.example.com", "api.example.com"
ENDING = "/api/auth/sessions/end-others/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _hosts(settings):
    settings.ALLOWED_HOSTS = [API]
    settings.CSRF_TRUSTED_ORIGINS = [APP]


class Script:
    """What a browser sends for ``fetch(..., {credentials: "include"})``; it reads no cookie."""

    def __init__(self, origin=APP):
        self.client = Client(enforce_csrf_checks=True)
        self.origin, self.token = origin, ""

    def fetch(self, path, body=None):
        sent = {
            "Host": API,
            "Origin": self.origin,
            "Referer": f"{self.origin}/",
            "Sec-Fetch-Site": "same-site",
        }
        if body is None:
            return self.client.get(path, secure=True, headers=sent)
        sent["X-CSRFToken"] = self.token
        return self.client.post(path, body, "application/json", secure=True, headers=sent)

    def take_token(self):
        self.token = self.fetch("/api/auth/login/")["X-CSRFToken"]

    def sign_in(self, user, password):
        self.take_token()
        body = {"username": user.get_username(), "password": password, "transport": "cookie"}
        answer = self.fetch("/api/auth/login/", body)
        assert answer.status_code == 200, answer.content


def test_it_signs_in_and_calls_with_the_token_of_a_header(ada, password):
    script = Script()
    script.sign_in(ada, password)
    assert script.fetch("/api/auth/session/").status_code == 200
    assert script.fetch(ENDING, {}).status_code == 403  # the token from before the login
    script.take_token()
    assert script.fetch(ENDING, {}).json() == {"ended": 0}


def test_a_host_that_is_not_named_calls_in_vain(ada, password):
    script = Script()
    script.sign_in(ada, password)
    script.take_token()
    script.origin = "https://other.example.com"
    assert script.fetch(ENDING, {}).status_code == 403
