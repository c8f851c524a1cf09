"""authx.http.actor: who is asking, and from where, as a request tells it."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import RequestFactory
from rest_framework.views import APIView

from authx.core.actor import NOBODY, Actor
from authx.http.actor import actor_of, user_agent_of
from authx.models import DeviceSession


@pytest.fixture
def request_from_fox():
    return RequestFactory().get("/", REMOTE_ADDR="203.0.113.7", headers={"user-agent": "Fox/1"})


def test_an_actor_is_a_user_from_somewhere(ada, request_from_fox):
    assert actor_of(request_from_fox, ada) == Actor(ada, "203.0.113.7", "Fox/1")


def test_a_request_of_drf_is_djangos_inside(ada, request_from_fox):
    wrapped = APIView().initialize_request(request_from_fox)
    assert actor_of(wrapped, ada) == Actor(ada, "203.0.113.7", "Fox/1")


@pytest.mark.parametrize("who", [None, AnonymousUser(), "ada", DeviceSession(pk=None)])
def test_who_cannot_be_named_is_nobody(who):
    assert actor_of(None, who) == NOBODY


@pytest.mark.parametrize("request_", [None, object(), "GET / HTTP/1.1"])
def test_what_is_no_request_says_nothing(ada, request_):
    assert actor_of(request_, ada) == Actor(ada)


def test_a_request_without_an_address_or_a_user_agent_has_none():
    assert actor_of(HttpRequest()) == NOBODY


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Mozilla/5.0 (X11) Fox/1", "Mozilla/5.0 (X11) Fox/1"),
        ("evil\r\nSet-Cookie: a=b", "evil Set-Cookie: a=b"),
        ("\u202edrowssap\u202c", "drowssap"),
        ("a\0b\x1bc", "a b c"),
        ("x" * 5000, "x" * 512),
        ("", ""),
    ],
    ids=ascii,
)
def test_a_user_agent_is_safe_to_store_and_to_print(sent, kept):
    sender = RequestFactory().get("/")
    sender.META["HTTP_USER_AGENT"] = sent
    assert user_agent_of(sender) == kept


def test_who_sends_no_user_agent_has_none():
    assert user_agent_of(RequestFactory().get("/")) == ""
