"""What is rolled back was not counted, on every database."""

from contextlib import contextmanager

import pytest
from django.db import transaction

from authx.sessions import end_session, open_session
from tests.metrics.conftest import counted

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def rolled_back():
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_a_login_that_is_rolled_back_was_none(tally, ada):
    with rolled_back():
        open_session(ada)
    with transaction.atomic():
        open_session(ada)
        assert not counted(tally, "logins")
    assert counted(tally, "logins") == {("code", "opened"): 1}


def test_a_login_in_an_inner_block_that_is_rolled_back_was_none(tally, ada):
    with transaction.atomic():
        with rolled_back():
            open_session(ada)
        open_session(ada)
    assert counted(tally, "logins") == {("code", "opened"): 1}


def test_an_ending_that_is_rolled_back_was_none(tally, ada):
    session = open_session(ada).session
    with rolled_back():
        end_session(session, "kicked")
    assert not counted(tally, "endings")
    assert end_session(session, "kicked")
    assert not end_session(session, "logout")
    assert counted(tally, "endings") == {("kicked",): 1}
