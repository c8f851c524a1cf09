"""A user's page in the admin leads to their sessions, whichever ModelAdmin shows it."""

import re
from datetime import timedelta

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils import timezone

from authx.admin import DeviceSessionAdmin, of_user
from authx.models import DeviceSession
from authx.sessions import end_session
from tests.admin.test_admin import LIST, Form, boss, change, desk, sign_in, text_of  # noqa: F401

pytestmark = [pytest.mark.django_db, pytest.mark.user_model("auth.User")]


def page_of(user):
    return f"/admin/auth/user/{user.pk}/change/"


def links_on(response):
    """What the links to sessions say, and where they lead."""
    page = response.content.decode()
    found = re.findall(rf'<a href="({LIST}\?user=[^"]*)">(.*?)</a>', page)
    return [(text_of(text), link.replace("&amp;", "&")) for link, text in found]


def test_a_users_page_links_to_their_sessions_with_their_number(boss, ada, bob):  # noqa: F811
    sign_in(ada)
    sign_in(ada)
    end_session(sign_in(ada).session, "kicked")
    sign_in(bob)
    (live, total) = links_on(boss.get(page_of(ada)))
    assert live == ("2 live sessions", f"{LIST}?user={ada.pk}&status=live")
    assert total == ("3 sessions in all", f"{LIST}?user={ada.pk}")
    assert boss.get(live[1]).context["cl"].result_count == 2
    assert boss.get(total[1]).context["cl"].result_count == 3


def test_one_is_one(boss, ada):  # noqa: F811
    sign_in(ada)
    assert [text for text, _link in links_on(boss.get(page_of(ada)))] == [
        "1 live session",
        "1 session in all",
    ]


def test_a_session_past_its_time_is_not_live(boss, ada):  # noqa: F811
    change(sign_in(ada).session, idle_expires_at=timezone.now() - timedelta(minutes=1))
    assert [text for text, _link in links_on(boss.get(page_of(ada)))] == [
        "0 live sessions",
        "1 session in all",
    ]


def test_whoever_never_signed_in_has_no_links(boss, ada):  # noqa: F811
    page = boss.get(page_of(ada))
    assert links_on(page) == []
    assert "No device session is known." in page.content.decode()


def test_very_many_are_not_counted(boss, ada, monkeypatch):  # noqa: F811
    monkeypatch.setattr(of_user, "MAX_COUNTED", 2)
    for _ in range(3):
        sign_in(ada)
    assert links_on(boss.get(page_of(ada)))[1][0] == "more than 2 sessions in all"


@pytest.mark.parametrize(
    ("permission", "is_shown"), [("view_devicesession", True), ("view_signingkey", False)]
)
def test_only_who_may_see_sessions_is_shown_the_links(desk, staff, ada, permission, is_shown):  # noqa: F811
    sign_in(ada)
    found = Permission.objects.get(codename="view_user")
    staff.user_permissions.add(found)
    page = desk(staff, permission).get(page_of(ada))
    assert page.status_code == 200
    assert bool(links_on(page)) is is_shown
    assert ("Device sessions</h2>" in page.content.decode()) is is_shown


def test_a_user_is_still_added_and_changed(boss, ada):  # noqa: F811
    adding = boss.get("/admin/auth/user/add/")
    assert adding.status_code == 200
    assert "Device sessions</h2>" not in adding.content.decode()
    form = boss.get(page_of(ada))
    sent = Form(form).filled(
        username="ada", first_name="Ada", is_active="on", date_joined_0="2026-01-01", date_joined_1="10:00:00"
    )
    assert boss.client.post(page_of(ada), sent).status_code == 302
    ada.refresh_from_db()
    assert ada.first_name == "Ada"


def test_it_takes_two_statements(boss, ada):  # noqa: F811
    def number(*words):
        with CaptureQueriesContext(connection) as asked:
            boss.get(page_of(ada))
        about = [one["sql"] for one in asked.captured_queries if "authx_devicesession" in one["sql"]]
        return len([sql for sql in about if "COUNT(" in sql])

    sign_in(ada)
    few = number()
    for _ in range(5):
        sign_in(ada)
    assert (few, number()) == (2, 2)


class PlainAdmin(django_admin.ModelAdmin):
    """One that is no UserAdmin, and names its fields."""

    fields = ("username", "email")
    readonly_fields = ("email",)


@pytest.mark.parametrize("of", [UserAdmin, PlainAdmin, django_admin.ModelAdmin])
@pytest.mark.parametrize("is_proxy", [False, True])
def test_every_site_and_every_admin_of_users_has_them(admin, ada, of, is_proxy):
    model = proxy_of_users() if is_proxy else get_user_model()
    site = django_admin.AdminSite(name="other")
    sessions = DeviceSessionAdmin(DeviceSession, site)
    site._registry = {model: of(model, site), DeviceSession: sessions}
    assert len(site.get_urls()) > 2
    users, untouched = site._registry[model], of(model, site)
    request = RequestFactory().get("/")
    request.user = admin
    shown, plain = users.get_fieldsets(request, ada), untouched.get_fieldsets(request, ada)
    assert [title for title, _options in shown[len(plain) :]] == ["Device sessions"]
    assert sum(callable(name) for _title, options in shown for name in options["fields"]) == 1
    assert users.get_fieldsets(request) == untouched.get_fieldsets(request)
    before = set(untouched.get_readonly_fields(request, ada))
    (field,) = set(users.get_readonly_fields(request, ada)) - before
    assert users.get_form(request, ada)  # the field is no part of the form
    assert str(field(ada)) == "No device session is known."
    site.get_urls()
    assert len(users.get_fieldsets(request, ada)) == len(plain) + 1  # once


@isolate_apps("django.contrib.auth")
def proxy_of_users():
    """Users under another name, as sites have them for their members."""

    class Member(get_user_model()):
        class Meta:
            proxy = True
            app_label = "auth"

    return Member


def test_the_classes_of_the_site_stay_as_they_are(boss, ada):  # noqa: F811
    boss.get(page_of(ada))
    another = UserAdmin(get_user_model(), django_admin.AdminSite())
    request = RequestFactory().get("/")
    request.user = boss.user
    assert "Device sessions" not in [str(title) for title, _options in another.get_fieldsets(request, ada)]
    assert Client().get(page_of(ada)).status_code == 302
