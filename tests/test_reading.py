"""authx.sessions.reading: one statement, compiled once, that reads what a queryset would."""

from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from authx.errors import StoreUnavailable
from authx.models import DeviceSession
from authx.sessions import Device, database, open_session
from authx.sessions.reading import read_session
from tests.test_refreshing import outage


def columns(instance):
    return {field.attname: getattr(instance, field.attname) for field in instance._meta.concrete_fields}


def test_every_column_is_what_a_queryset_reads(ada, django_assert_num_queries):
    sid = open_session(ada, device=Device(id="phone-1", name="A phone", type="ios")).session.pk
    expected = database.rows().select_related("user").get(pk=sid)

    with django_assert_num_queries(1):
        found = read_session(sid)
        user = found.user
    assert columns(found) == columns(expected)
    assert columns(user) == columns(expected.user)
    assert type(user) is get_user_model()
    assert (found._state.db, found._state.adding) == ("default", False)
    assert found.database_now >= expected.database_now


def test_a_session_whose_user_is_gone_has_none(ada, django_assert_num_queries):
    sid = open_session(ada).session.pk
    get_user_model().objects.filter(pk=ada.pk).delete()

    with django_assert_num_queries(1):
        assert read_session(sid).user is None


def test_what_is_read_can_be_changed_and_saved(ada):
    sid = open_session(ada).session.pk
    found = read_session(sid)
    found.device_name = "renamed"
    found.save(update_fields=["device_name"])
    assert DeviceSession.objects.get(pk=sid).device_name == "renamed"
    assert found == DeviceSession.objects.get(pk=sid)


def test_a_session_that_is_not_there_is_none(db):
    assert read_session(uuid4()) is None


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_down_is_said_so(ada):
    sid = open_session(ada).session.pk
    with outage(), pytest.raises(StoreUnavailable):
        read_session(sid)
