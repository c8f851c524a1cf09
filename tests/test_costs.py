"""What each act costs in SQL statements: counted, BEGIN and COMMIT apart."""

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


@pytest.fixture
def rotating(settings, ada):
    """A session whose next refresh rotates."""
    opened = open_session(ada)
    settings.AUTHX_REFRESH_GRACE = type(conf.REFRESH_GRACE)(microseconds=1)
    return opened


def test_a_rotation_costs_three(transactional_db, rotating):
    _, asked = statements(lambda: refresh_session(rotating.refresh_token))
    assert [sql.split()[0] for sql in asked] == ["SELECT", "UPDATE", "INSERT"]


def test_so_it_does_through_the_api(transactional_db, rotating, api):
    answer, asked = statements(lambda: api.post(REFRESH, {"refresh_token": rotating.refresh_token}))
    assert answer.status_code == 200
    assert len(asked) <= 4, asked


def test_a_replay_costs_two(transactional_db, ada):
    opened = open_session(ada)
    _, asked = statements(lambda: refresh_session(opened.refresh_token))
    assert len(asked) <= 3, asked


@pytest.mark.parametrize(
    "device", [{}, {"id": "phone-1", "name": "A phone", "type": "ios"}], ids=["unnamed", "named"]
)
def test_a_login_costs_seven(transactional_db, ada, password, api, device):
    body = {"username": "ada", "password": password, "device": device}
    answer, asked = statements(lambda: api.post(LOGIN, body))
    assert answer.status_code == 200
    assert len(asked) <= 7, asked  # one finds the account whose failures are counted
