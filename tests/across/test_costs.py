"""What each act costs in SQL statements: counted, BEGIN and COMMIT apart."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from authx.conf import conf
from authx.sessions import open_session, refresh_session

_AROUND = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "SET TRANSACTION", "START TRANSACTION")

LOGIN, REFRESH = "/api/auth/login/", "/api/auth/refresh/"


def statements(act):
    with CaptureQueriesContext(connection) as asked:
        answer = act()
    found = [query["sql"] for query in asked.captured_queries]
    return answer, [sql for sql in found if not sql.startswith(_AROUND)]


def kinds(asked):
    """The first word of each; a statement that PostgreSQL has prepared is a SELECT of ours."""
    return [sql.split()[0].replace("EXECUTE", "SELECT") for sql in asked]


def all_statements(act):
    """BEGIN and COMMIT too."""
    with CaptureQueriesContext(connection) as asked:
        answer = act()
    return answer, [query["sql"] for query in asked.captured_queries]


@pytest.fixture
def rotating(settings, ada):
    """A session whose next refresh rotates."""
    opened = open_session(ada)
    settings.AUTHX_REFRESH_GRACE = type(conf.REFRESH_GRACE)(microseconds=1)
    return opened


def test_a_rotation_costs_three(transactional_db, rotating):
    _, asked = statements(lambda: refresh_session(rotating.refresh_token))
    assert kinds(asked) == ["SELECT", "UPDATE", "INSERT"]


def test_so_it_does_through_the_api(transactional_db, rotating, api):
    answer, asked = statements(lambda: api.post(REFRESH, {"refresh_token": rotating.refresh_token}))
    assert answer.status_code == 200
    assert len(asked) <= 4, asked


def test_within_the_grace_the_first_costs_two_and_the_others_one(transactional_db, ada, api):
    """T1b: what is confirmed is not confirmed again, and nothing is worth an event."""
    opened = open_session(ada)
    _, asked = statements(lambda: refresh_session(opened.refresh_token))
    assert kinds(asked) == ["SELECT", "UPDATE"]
    _, asked = all_statements(lambda: refresh_session(opened.refresh_token))
    assert kinds(asked) == ["SELECT"]
    answer, asked = all_statements(lambda: api.post(REFRESH, {"refresh_token": opened.refresh_token}))
    assert (answer.status_code, kinds(asked)) == (200, ["SELECT"])


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_replay_costs_one(transactional_db, rotating, settings, api, confirmed):
    """T3: it opens no transaction at all."""
    second = refresh_session(rotating.refresh_token)
    settings.AUTHX_REFRESH_GRACE = timedelta(seconds=30)
    if confirmed:
        refresh_session(second.refresh_token)
    _, asked = all_statements(lambda: refresh_session(rotating.refresh_token))
    assert kinds(asked) == ["SELECT"]
    answer, asked = all_statements(lambda: api.post(REFRESH, {"refresh_token": rotating.refresh_token}))
    assert (answer.status_code, kinds(asked)) == (200, ["SELECT"])


@pytest.mark.parametrize("rate", ["60/day", "1/day"], ids=["renewed", "too often"])
def test_a_page_of_a_burst_costs_reads_alone(transactional_db, ada, client, settings, rate):
    """One to judge the cookie; one more to look again before a new one leaves with the page."""
    opened = open_session(ada)
    settings.AUTHX_REFRESH_RATE = rate

    def show():
        client.cookies.clear()
        client.cookies[conf.REFRESH_COOKIE] = opened.refresh_token
        return client.get("/whoami/")

    for _ in range(2):  # the first confirms, the second may raise the alarm
        show()
    answer, asked = all_statements(show)
    assert answer.json()["session"] == str(opened.session.pk)
    assert kinds(asked) == ["SELECT"] * (2 if rate == "60/day" else 1)


@pytest.mark.parametrize(
    "device", [{}, {"id": "phone-1", "name": "A phone", "type": "ios"}], ids=["unnamed", "named"]
)
def test_a_login_costs_seven(transactional_db, ada, password, api, device):
    body = {"username": "ada", "password": password, "device": device}
    answer, asked = statements(lambda: api.post(LOGIN, body))
    assert answer.status_code == 200
    assert len(asked) <= 7, asked  # one finds the account whose failures are counted
