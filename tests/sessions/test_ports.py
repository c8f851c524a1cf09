"""authx.sessions.ports: who acts where a site calls, or a door: a user and a request, or an actor."""

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory

import authx.sessions
from authx.core.actor import Actor
from authx.models import DeviceSession, SessionEvent
from authx.sessions import (
    end_everyone,
    end_session,
    end_sessions,
    end_user_sessions,
    open_session,
    refresh_session,
)
from authx.sessions.refreshing import exchange
from tests.reading import refresh_claims

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = START + timedelta(minutes=2)
HERE = Path(authx.sessions.__file__).parent
FOX = {"REMOTE_ADDR": "203.0.113.7", "HTTP_USER_AGENT": "Fox/1"}
ENDINGS = {
    "end_session": lambda session, *by, **of: end_session(session, "kicked", *by, **of),
    "end_sessions": lambda session, *by, **of: end_sessions(DeviceSession.objects.all(), "kicked", *by, **of),
    "end_user_sessions": lambda session, *by, **of: end_user_sessions(session.user, "kicked", *by, **of),
    "end_everyone": lambda session, *by, **of: end_everyone("kicked", *by, **of),
}


def recorded(kind):
    event = SessionEvent.objects.get(kind=kind)
    return event.actor, event.ip, event.user_agent


@pytest.mark.parametrize("name", ENDINGS)
def test_an_ending_is_by_a_user_from_a_request(ada, admin, name):
    ENDINGS[name](open_session(ada).session, admin, request=RequestFactory().get("/", **FOX))
    assert recorded("ended") == (admin, "203.0.113.7", "Fox/1")
    assert DeviceSession.objects.get().ended_by == admin


@pytest.mark.parametrize("name", ENDINGS)
def test_or_by_the_actor_that_a_door_has_built(ada, admin, name):
    ENDINGS[name](open_session(ada).session, Actor(admin, "198.51.100.2", "Socket/1"))
    assert recorded("ended") == (admin, "198.51.100.2", "Socket/1")
    assert DeviceSession.objects.get().ended_by == admin


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.parametrize("nobody", [None, AnonymousUser(), Actor()], ids=["None", "anonymous", "actor"])
def test_or_by_nobody_who_is_known(ada, name, nobody):
    ENDINGS[name](open_session(ada).session, nobody)
    assert recorded("ended") == (None, None, "")


def test_where_a_deleted_users_device_is_stays_unknown_whoever_builds_the_actor(ada):
    for act in (
        lambda session: end_session(session, "logout", Actor(ip="203.0.113.7", user_agent="Fox/1")),
        lambda session: end_session(session, "logout", request=RequestFactory().get("/", **FOX)),
    ):
        session = open_session(ada).session
        session.user = None
        act(session)
        event = SessionEvent.objects.filter(kind="ended").latest("pk")
        assert (event.session_id, event.ip, event.user_agent) == (session.pk, None, "")


@pytest.mark.parametrize("by_door", [False, True], ids=["request", "actor"])
def test_a_refresh_is_by_the_sessions_user_from_there(ada, by_door):
    opened = open_session(ada, now=START)
    if by_door:
        exchange(refresh_claims(opened.refresh_token), Actor(ip="203.0.113.7", user_agent="Fox/1"), now=LATER)
    else:
        refresh_session(opened.refresh_token, RequestFactory().post("/", **FOX), now=LATER)
    assert recorded("refreshed") == (ada, "203.0.113.7", "Fox/1")


def test_only_what_a_site_calls_takes_a_request():
    """Everything else takes what a door has made of one: an actor, or the texts of tokens."""
    takes = {
        function.name
        for path in HERE.glob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and "request" in {each.arg for each in [*function.args.args, *function.args.kwonlyargs]}
    }
    assert takes - {"actor_of"} <= set(authx.sessions.__all__)  # which is the port
