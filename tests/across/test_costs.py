"""What each act costs in SQL statements: counted, BEGIN and COMMIT apart."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from authx.conf import conf
from authx.sessions import Device, end_session, open_session, refresh_session
from authx.sessions.new_devices import confirm
from authx.store.prepared_statement import RUNS_BEFORE_PREPARING
from tests.round_trips import count_commits, count_round_trips

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


@pytest.mark.parametrize("is_new", [False, True], ids=["known", "new"])
def test_so_does_one_of_somebody_who_has_other_devices(transactional_db, ada, password, api, is_new):
    """What tells whether the device is new is read with what every login asks."""
    open_session(ada, device=Device(id="laptop"))
    known = open_session(ada, device=Device(id="phone")).session
    confirm(known)
    end_session(known, "logout")
    body = {"username": "ada", "password": password, "device": {"id": "tablet" if is_new else "phone"}}
    answer, asked = statements(lambda: api.post(LOGIN, body))
    assert answer.status_code == 200
    assert len(asked) <= 7, asked
    assert count_commits(all_statements(lambda: api.post(LOGIN, body))[1]) == 1


def refreshed(opened, times):
    for _ in range(times):
        opened = refresh_session(opened.refresh_token)
    return opened


@pytest.mark.databases("postgresql")
def test_on_postgresql_a_rotation_costs_two_round_trips_once_its_statements_are_prepared(
    transactional_db, rotating
):
    known = refreshed(rotating, RUNS_BEFORE_PREPARING)
    for _ in range(3):
        known, trips = count_round_trips(lambda known=known: refresh_session(known.refresh_token))
        assert trips == 2


@pytest.mark.databases("postgresql")
def test_so_it_does_through_the_api_on_postgresql(transactional_db, rotating, api):
    token = rotating.refresh_token
    for _ in range(RUNS_BEFORE_PREPARING + 1):
        body = {"refresh_token": token}
        answer, trips = count_round_trips(lambda body=body: api.post(REFRESH, body))
        token = answer.json()["refresh_token"]
    assert (answer.status_code, trips) == (200, 2)


@pytest.mark.databases("postgresql")
def test_what_confirms_and_records_nothing_costs_two_as_well(transactional_db, ada, settings):
    settings.AUTHX_REFRESH_GRACE = timedelta(seconds=30)
    for number in range(3):
        opened = open_session(ada)
        _, trips = count_round_trips(lambda opened=opened: refresh_session(opened.refresh_token))
        assert trips == 2, number


def test_a_rotation_commits_once(transactional_db, rotating):
    for _ in range(RUNS_BEFORE_PREPARING - 1):
        rotating, asked = all_statements(lambda known=rotating: refresh_session(known.refresh_token))
        assert count_commits(asked) == 1, asked


@pytest.mark.parametrize("limits", [[], [{"types": ["other"], "limit": 1, "when_full": "end_oldest"}]])
def test_a_login_commits_once(transactional_db, ada, password, api, settings, limits):
    settings.AUTHX_SESSION_LIMITS = limits
    for _ in range(2):
        answer, asked = all_statements(lambda: api.post(LOGIN, {"username": "ada", "password": password}))
        assert (answer.status_code, count_commits(asked)) == (200, 1), asked


def test_a_login_that_opens_nothing_is_no_last_login(transactional_db, ada, password, api, settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["other"], "limit": 1, "when_full": "refuse"}]
    body = {"username": "ada", "password": password}
    assert api.post(LOGIN, body).status_code == 200
    ada.refresh_from_db()
    before = ada.last_login
    answer, asked = all_statements(lambda: api.post(LOGIN, body))
    ada.refresh_from_db()
    assert (answer.status_code, count_commits(asked), ada.last_login) == (409, 0, before)
