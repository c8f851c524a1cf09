"""Services in the admin: a secret is shown once, to whoever may, and is nowhere afterwards."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from authx.models import DeviceSession, ServiceClient
from tests.clients import create_service, find_service

LIST = "/admin/authx/serviceclient/"
SHOWN = re.compile(r'\(\s+"([^"]+)",\s+"([^"]+)",\s+\)')


@pytest.fixture
def desk(admin):
    client = Client()
    client.force_login(admin)
    return client


@pytest.fixture
def service(db):
    return create_service("orders")[0]


def credentials(answer):
    return SHOWN.search(answer.content.decode()).groups()


def test_a_service_is_added_and_its_secret_works(desk):
    answer = desk.post(LIST + "add/", {"name": "orders"})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert find_service(*credentials(answer)).name == "orders"


@pytest.mark.parametrize("act", ["add", "renew", "disable"])
def test_who_signed_in_long_ago_changes_nothing(desk, service, settings, act):
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(minutes=10)
    DeviceSession.objects.update(auth_time=timezone.now() - timedelta(minutes=11))
    before = list(ServiceClient.objects.values())
    path = f"{LIST}add/" if act == "add" else f"{LIST}{service.pk}/{act}/"
    assert desk.get(path).status_code == 200
    answer = desk.post(path, {"name": "billing"}, follow=True)
    assert "You signed in too long ago" in answer.content.decode()
    assert list(ServiceClient.objects.values()) == before


def test_the_secret_is_shown_once(desk, service):
    _, secret = credentials(desk.post(f"{LIST}{service.pk}/renew/"))
    for path in (LIST, f"{LIST}{service.pk}/change/", f"{LIST}{service.pk}/history/", "/admin/"):
        page = desk.get(path).content.decode()
        assert secret not in page
        assert service.secret_hash not in page
        assert ServiceClient.objects.get().secret_hash not in page


def test_a_renewed_secret_takes_the_place_of_the_one_before(desk, db):
    service, before = create_service("orders")
    client_id, secret = credentials(desk.post(f"{LIST}{service.pk}/renew/"))
    assert find_service(client_id, secret) == service
    assert find_service(client_id, before) is None


def test_a_service_is_disabled_and_enabled_by_a_new_secret(desk, service):
    assert desk.post(f"{LIST}{service.pk}/disable/").status_code == 302
    assert ServiceClient.objects.get().disabled_at is not None
    assert find_service(*credentials(desk.post(f"{LIST}{service.pk}/renew/"))) == service


@pytest.mark.parametrize("path", ["{pk}/renew/", "{pk}/disable/", "add/"])
def test_looking_changes_nothing(desk, service, path):
    assert desk.get(LIST + path.format(pk=service.pk)).status_code == 200
    after = ServiceClient.objects.get()
    assert (after.secret_hash, after.disabled_at) == (service.secret_hash, None)


@pytest.mark.parametrize("path", ["{pk}/renew/", "{pk}/disable/", "add/", "{pk}/delete/"])
@pytest.mark.parametrize("may", [None, "view_serviceclient"])
def test_who_may_not_does_not(staff, service, path, may):
    if may:
        staff.user_permissions.add(Permission.objects.get(codename=may))
    client = Client()
    client.force_login(staff)
    for method in (client.get, client.post):
        assert method(LIST + path.format(pk=service.pk)).status_code == 403
    after = ServiceClient.objects.get()
    assert (after.secret_hash, after.disabled_at) == (service.secret_hash, None)


def test_nobody_deletes_one(desk, service):
    assert desk.post(f"{LIST}{service.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("name", ["", " ", "x" * 101])
def test_a_service_needs_a_name(desk, name):
    answer = desk.post(LIST + "add/", {"name": name})
    assert answer.status_code == 200
    assert not ServiceClient.objects.exists()


def test_a_hash_cannot_be_asked_for(desk, service):
    answer = desk.get(LIST, {"secret_hash__startswith": "a"})
    assert answer.status_code in {302, 400}


def test_a_service_that_is_not_there_is_404(desk, db):
    for verb in ("renew", "disable"):
        assert desk.post(f"{LIST}999/{verb}/").status_code == 404
