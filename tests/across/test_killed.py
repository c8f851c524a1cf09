"""A process killed at the worst moment: nothing half done, nobody logged out, nothing done twice."""

import os
import selectors
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from authx.conf import conf
from authx.errors import SessionEnded
from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, end_session, open_session, recognize, refresh_session
from authx.sessions.credentials import credentials_for
from tests.branches import generation_of

pytestmark = [pytest.mark.exhaustive, pytest.mark.django_db(transaction=True)]

ROOT = Path(__file__).parents[2]
DEADLINE = 30  # seconds for a process to start and get where it is killed


def kill_at(point, act, about):
    """Let another process do ``act`` on this database, and kill it when it gets to ``point``."""
    with stopped_at(point, act, about):
        pass


@contextmanager
def stopped_at(point, act, about):
    """The same, with time to look around while it stands there."""
    command = [sys.executable, "-m", "tests.kill_me", point, act, str(about)]
    environment = {**os.environ, "AUTHX_TEST_DATABASE_NAME": str(connection.settings_dict["NAME"])}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            said = first_line(process)
            assert said == point, process.communicate()
            yield
        finally:
            process.kill()


def first_line(process):
    """What it prints first; nothing if it died before that."""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        assert selector.select(timeout=DEADLINE), "it neither got there nor died"
    return process.stdout.readline().strip()


@pytest.fixture
def due(ada):
    """Credentials whose refresh token is due for a rotation: the grace since the login has passed."""
    credentials = open_session(ada)
    row = DeviceSession.objects.filter(pk=credentials.session.pk)
    row.update(rotated_at=credentials.session.rotated_at - conf.REFRESH_GRACE - timedelta(seconds=1))
    return credentials


def now_stored(credentials):
    return DeviceSession.objects.get(pk=credentials.session.pk)


def events_of(credentials, **only):
    events = SessionEvent.objects.filter(session=credentials.session.pk, **only)
    return list(events.values_list("kind", "outcome"))


def successor_of(credentials):
    """A refresh token as the database would hand it out now."""
    row = now_stored(credentials)
    return credentials_for(row, generation=row.generation, now=row.rotated_at).refresh_token


def again(token):
    return refresh_session(token).refresh_token


def again_by_api(token):
    answer = APIClient().post("/api/auth/refresh/", {"refresh_token": token})
    assert answer.status_code == 200, answer.content
    return answer.json()["refresh_token"]


def again_by_page(token):
    client = Client()
    client.cookies[conf.REFRESH_COOKIE] = token
    assert client.get("/whoami/").json()["user"] is not None
    return client.cookies[conf.REFRESH_COOKIE].value


DOORS = {"refresh": again, "refresh_by_api": again_by_api, "refresh_by_page": again_by_page}


@pytest.mark.parametrize("point", ["before the event", "before the commit"])
def test_a_refresh_killed_before_its_commit_has_not_happened(due, point):
    kill_at(point, "refresh", due.refresh_token)
    assert (now_stored(due).generation, events_of(due)) == (1, [("opened", "")])
    successor = refresh_session(due.refresh_token)
    assert now_stored(due).generation == 2
    assert events_of(due) == [("opened", ""), ("refreshed", "T1")]
    assert recognize(successor.access_token).pk == due.session.pk


@pytest.mark.parametrize("door", DOORS)
def test_a_refresh_killed_before_its_answer_is_answered_again(due, door):
    kill_at("after the commit", door, due.refresh_token)
    lost = successor_of(due)
    assert generation_of(DOORS[door](due.refresh_token)) == generation_of(lost) == 2
    assert now_stored(due).generation == 2
    assert events_of(due) == [("opened", ""), ("refreshed", "T1")]
    assert refresh_session(lost).refresh_token == lost


def test_whoever_waits_for_a_refresh_that_is_killed_rotates_in_its_place(due):
    """The database lets go of what a dead process held, and has forgotten what it wrote."""

    def wait_and_refresh():
        try:
            return again(due.refresh_token)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with stopped_at("before the commit", "refresh", due.refresh_token):
            assert recognize(due.access_token).generation == 1
            waiting = pool.submit(wait_and_refresh)
        assert generation_of(waiting.result(DEADLINE)) == 2
    assert now_stored(due).generation == 2
    assert events_of(due, outcome="T1") == [("refreshed", "T1")]


ENDERS = {"end": lambda due: due.session.pk, "log_out": lambda due: due.refresh_token}


@pytest.mark.parametrize("ender", ENDERS)
@pytest.mark.parametrize("point", ["before the event", "before the commit"])
def test_an_ending_killed_before_its_commit_leaves_the_session_live(due, ender, point):
    kill_at(point, ender, ENDERS[ender](due))
    assert recognize(due.access_token).ended_at is None
    assert events_of(due, kind="ended") == []
    assert end_session(due.session, "logout") is True
    assert events_of(due, kind="ended") == [("ended", "logout")]


@pytest.mark.parametrize(("ender", "reason"), [("end", "kicked"), ("log_out", "logout")])
def test_an_ending_killed_after_its_commit_has_ended_the_session_once(due, ender, reason):
    kill_at("after the commit", ender, ENDERS[ender](due))
    for refused in (lambda: recognize(due.access_token), lambda: refresh_session(due.refresh_token)):
        with pytest.raises(SessionEnded, match=reason):
            refused()
    assert end_session(due.session, "kicked") is False
    assert events_of(due, kind="ended") == [("ended", reason)]


def test_a_new_password_ends_what_the_process_that_saved_it_did_not_live_to_end(due):
    kill_at("after the user is saved", "change_password", due.session.user_id)
    assert get_user_model().objects.get(pk=due.session.user_id).check_password("another-horse")
    with pytest.raises(SessionEnded, match="password_changed"):
        recognize(due.access_token)
    assert events_of(due, kind="ended") == [("ended", "password_changed")]


@pytest.fixture
def phone(ada):
    """A session of the device that signs in again."""
    return open_session(ada, device=Device(id="the phone", type="ios"))


@pytest.mark.parametrize("point", ["before the event", "before the commit"])
def test_a_login_killed_before_its_commit_opens_and_ends_nothing(phone, point):
    kill_at(point, "sign_in", phone.session.user_id)
    assert list(DeviceSession.objects.all()) == [phone.session]
    assert recognize(phone.access_token) == phone.session
    assert SessionEvent.objects.count() == 1


def test_a_login_killed_before_its_answer_is_replaced_by_the_next(phone, ada):
    kill_at("after the commit", "sign_in", ada.pk)
    lost = DeviceSession.objects.live().get()
    assert lost != phone.session
    retried = open_session(ada, device=Device(id="the phone", type="ios"))
    assert DeviceSession.objects.live().get() == retried.session
    ended = SessionEvent.objects.filter(kind="ended").values_list("session", "outcome")
    assert set(ended) == {(phone.session.pk, "replaced"), (lost.pk, "replaced")}
    assert len(ended) == 2
