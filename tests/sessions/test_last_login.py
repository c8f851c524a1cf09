"""authx.sessions.opening: ``last_login`` is set with the session, or not at all."""

from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError

from authx.errors import StoreUnavailable
from authx.models import DeviceSession
from authx.sessions import open_session
from tests.faults_in_database import broken_audit
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)

CROWD = 8


def read(user):
    return get_user_model()._default_manager.get(pk=user.pk)


def test_of_a_crowd_of_one_user_nobody_waits_in_vain(ada, monkeypatch):
    """No login is tried twice here, so a deadlock would refuse one."""
    monkeypatch.setattr("authx.store.database.MAX_ATTEMPTS", 1)
    logins = [partial(open_session, read(ada), sets_last_login=True) for _ in range(CROWD)]
    for _ in range(3):
        results = race(*logins)
        assert not [result for result in results if isinstance(result, Exception)]
    assert DeviceSession.objects.filter(user=ada).count() == 3 * CROWD
    assert read(ada).last_login is not None


def test_an_opening_that_fails_sets_none(ada):
    with broken_audit(), pytest.raises((DatabaseError, StoreUnavailable)):
        open_session(ada, sets_last_login=True)
    assert (read(ada).last_login, DeviceSession.objects.count()) == (None, 0)


def test_without_being_asked_nor_does_any_other(ada):
    open_session(ada)
    assert read(ada).last_login is None
