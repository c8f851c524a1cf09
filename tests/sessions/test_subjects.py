"""AUTHX_SUBJECT_FIELD: whose a token is, where a site shows no keys of its database."""

import json
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.urls import reverse

from authx.admin.searching import found_by
from authx.checks.subjects import check_subject_field
from authx.core.claims import AccessClaims
from authx.errors import LoginRefused, SessionEnded, TokenMalformed
from authx.gate import verify_access_token
from authx.gate.fingerprint import fingerprint
from authx.gate.revocation import sources
from authx.issuer.introspection import introspect
from authx.models import DeviceSession, NotBeforeMark, RevocationLogEntry
from authx.sessions import end_user_sessions, open_session, recognize, refresh_session
from authx.sessions.limits import over_the_limits
from authx.sessions.queries import live_sessions
from authx.sessions.subjects import find_subject, sessions_of, subject_of
from tests.gate.test_stores import choose
from tests.reading import admit
from tests.rows import row

CUSTOM = get_user_model()._meta.label == "accounts.User"
#: A unique column beside the key, in either variant of the site.
FIELD = "public_id" if CUSTOM else "username"
LOGIN = "/api/auth/login/"
plain = pytest.mark.user_model("auth.User")  # whose keys are numbers


@pytest.fixture
def shown(settings):
    settings.AUTHX_SUBJECT_FIELD = FIELD
    return settings


@pytest.fixture(autouse=True)
def _forgetful():
    sources._copies.clear()
    yield
    sources._copies.clear()


def value(user):
    return str(getattr(user, FIELD))


def assert_over(credentials, reason):
    with pytest.raises(SessionEnded, match=reason):
        recognize(credentials.access_token)
    with pytest.raises(SessionEnded, match=reason):
        refresh_session(credentials.refresh_token)
    assert row(credentials).end_reason == reason


# What is shown


def test_the_column_is_the_subject_of_row_and_token(shown, ada):
    opened = open_session(ada)
    assert row(opened).subject == opened.claims.sub == value(ada) == subject_of(ada)
    assert verify_access_token(opened.access_token).sub == value(ada)
    assert recognize(opened.access_token).user == ada


def test_without_the_setting_it_is_the_key(ada):
    opened = open_session(ada)
    assert (opened.claims.sub, opened.claims.opaque) == (str(ada.pk), None)
    assert "opaque" not in opened.claims.as_payload()


def test_a_token_says_where_its_subject_is_no_key(shown, ada):
    assert open_session(ada).claims.opaque is True


@pytest.mark.parametrize("odd", [False, 1, "true", None, [True]])
def test_it_says_that_in_one_way(shown, ada, odd):
    claims = open_session(ada).claims.as_payload()
    with pytest.raises(TokenMalformed, match="opaque"):
        AccessClaims.from_payload(claims | {"opaque": odd})


def test_the_api_answers_with_the_column_and_nowhere_with_the_key(shown, api, ada, password):
    body = {"username": ada.get_username(), "password": password}
    told = api.post(LOGIN, body).json()
    assert told["user_id"] == value(ada)
    again = api.post("/api/auth/refresh/", {"refresh_token": told["refresh_token"]}).json()
    assert again["user_id"] == value(ada)
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {again['access_token']}")
    sessions = api.get("/api/auth/sessions/").json()
    assert len(sessions) == 1
    claims = verify_access_token(again["access_token"]).as_payload()
    if CUSTOM:
        assert str(ada.pk) not in json.dumps([told, again, sessions, claims])
    assert str(ada.pk) not in [*told.values(), *sessions[0].values(), *claims.values()]


def test_introspection_answers_with_it_too(shown, ada):
    opened = open_session(ada)
    assert introspect(opened.access_token)["sub"] == value(ada)
    assert introspect(opened.refresh_token)["sub"] == value(ada)


@pytest.mark.user_model("accounts.User")
def test_a_uuid_has_one_spelling_however_it_was_assigned(shown, ada):
    ada.public_id = str(ada.public_id).upper().replace("-", "")
    assert subject_of(ada) == str(uuid.UUID(ada.public_id))


# On every store


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("store", ["database", "lag", "redis"])
def test_the_user_is_the_right_one_in_every_store(shown, ada, bob, store, api):
    if store != "database":
        choose(shown, "redis" if store == "redis" else "database", timedelta(seconds=1))
    open_session(bob)
    opened = open_session(ada)
    user = admit(opened.access_token).user()
    assert (user.pk, user.id, user) == (ada.pk, ada.pk, ada)
    assert hash(admit(opened.access_token).user()) == hash(ada)
    assert isinstance(user, get_user_model())
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {opened.access_token}")
    assert api.get("/api/whoami/").json()["user"] == str(ada.pk)
    end_user_sessions(ada, "kicked")
    with pytest.raises(SessionEnded, match="kicked"):
        admit(opened.access_token)
    assert api.get("/api/whoami/").json()["reason"] == "kicked"


@pytest.mark.django_db(transaction=True)
def test_the_key_is_read_once_and_only_when_asked_for(shown, ada):
    choose(shown, "database", timedelta(minutes=5))
    opened = open_session(ada)
    admit(opened.access_token)
    with CaptureQueriesContext(connection) as asked:
        user = admit(opened.access_token).user()
        assert user.is_authenticated
        assert "None" in repr(user)
        assert len(asked) == 0
        assert user.pk == user.pk == ada.pk
        assert len(asked) == 1


@plain
@pytest.mark.django_db(transaction=True)
def test_a_subject_that_looks_like_anothers_key_is_not_taken_for_it(shown, make_user, bob):
    """Neither under the setting, nor after it was taken back."""
    choose(shown, "database", timedelta(seconds=1))
    numbered = make_user(str(bob.pk))
    opened = open_session(numbered)
    assert opened.claims.sub == str(bob.pk)
    for name in (FIELD, None):
        shown.AUTHX_SUBJECT_FIELD = name
        assert admit(opened.access_token).user().pk == numbered.pk
        assert recognize(opened.access_token).user == numbered


# Who has none


@pytest.fixture
def nameless(settings, ada):
    """Nobody's ``last_name``, or ``last_login``, is filled."""
    settings.AUTHX_SUBJECT_FIELD = "last_login" if CUSTOM else "last_name"
    type(ada)._default_manager.filter(pk=ada.pk).update(last_login=None)
    return ada


def test_a_user_without_a_value_is_refused_and_the_log_says_why(nameless, caplog):
    with pytest.raises(LoginRefused, match="is empty, or cannot be the sub"):
        open_session(nameless)
    assert f"User {nameless.pk} cannot sign in" in caplog.text
    assert not DeviceSession.objects.exists()


def test_every_door_refuses_them_and_none_breaks(nameless, api, password):
    body = {"username": nameless.get_username(), "password": password}
    answer = api.post(LOGIN, body)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    client = Client()
    for page in (reverse("authx:login"), "/django-login/"):
        answer = client.post(page, body)
        assert answer.status_code in {200, 403}, page
        assert "_auth_user_id" not in client.session


@plain
@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u200b", "\u00ad\u200d", "\u0301", "\u0640", "\uff9e"])
def test_what_a_database_takes_for_no_text_is_not_everybody(shown, ada, bob, blank):
    others = open_session(bob)
    ada.username = blank
    ada.save(update_fields=["username"])
    opened = open_session(ada)
    assert end_user_sessions(ada, "kicked") == 1
    assert_over(opened, "kicked")
    assert recognize(others.access_token).user == bob
    assert row(refresh_session(others.refresh_token)).end_reason == ""
    assert live_sessions(bob) == [others.session]


@plain
def test_a_mark_ends_nobody_whose_subject_only_collates_alike(shown, ada, bob):
    hers, his = open_session(ada), open_session(bob)
    DeviceSession.objects.filter(user=bob).update(subject="\u00c1DA ")
    his = refresh_session(his.refresh_token)
    assert end_user_sessions(ada, "kicked") == 1
    assert_over(hers, "kicked")
    assert recognize(his.access_token).user == bob


@pytest.mark.parametrize("odd", ["", "a\0b", "a\nb", "\x7f", "\ud800", "x" * 256])
@plain
def test_what_no_token_could_carry_is_no_subject(shown, ada, odd):
    ada.username = odd
    with pytest.raises(LoginRefused):
        open_session(ada)


@pytest.mark.parametrize("good", ["x", " ", "*", "@", "!", "Ångström ☃", "x" * 255, "-1", "a'b\"c", "ada "])
@plain
@pytest.mark.django_db(transaction=True)
def test_any_other_text_is_one_at_every_door(shown, ada, bob, good):
    choose(shown, "database", timedelta(seconds=1))
    others = open_session(bob)
    ada.username = good
    ada.save(force_update=True, update_fields=["username"]) if len(good) <= 150 else None
    opened = open_session(ada)
    assert verify_access_token(opened.access_token).sub == good
    assert end_user_sessions(ada, "kicked") == 1
    with pytest.raises(SessionEnded, match="kicked"):
        verify_access_token(opened.access_token)
    assert verify_access_token(others.access_token)


@pytest.mark.parametrize("field", ["is_staff", "last_login"])
def test_what_has_no_spelling_of_its_own_is_no_subject(settings, ada, field):
    settings.AUTHX_SUBJECT_FIELD = field
    with pytest.raises(LoginRefused):
        open_session(ada)


def test_what_is_no_value_of_the_column_at_all_is_no_subject():
    assert find_subject(get_user_model()(pk="neither a number nor a UUID")) is None


@pytest.mark.parametrize("nobody", ["nobody", "99999999999999999999999", "007", " 7", "7.0"])
def test_a_subject_that_is_no_key_is_nobodys(db, ada, nobody):
    open_session(ada)
    assert not DeviceSession.objects.filter(sessions_of(nobody)).exists()


@pytest.mark.parametrize("field", ["nothing", "groups", "device_sessions", "pk", "is_authenticated"])
def test_a_setting_that_names_no_column_says_so(settings, ada, field):
    settings.AUTHX_SUBJECT_FIELD = field
    with pytest.raises(ImproperlyConfigured, match=f"AUTHX_SUBJECT_FIELD: .* has no column '{field}'"):
        open_session(ada)


# The setting is changed while sessions live


@pytest.fixture(params=["from the key", "to the key"])
def changed(request, settings):
    """Sessions opened before have the other kind of subject; call it to change over."""
    settings.AUTHX_SUBJECT_FIELD = None if request.param == "from the key" else FIELD

    def change():
        settings.AUTHX_SUBJECT_FIELD = FIELD if request.param == "from the key" else None

    return change


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lag", [timedelta(0), timedelta(seconds=1)], ids=["database", "lag"])
def test_a_session_keeps_its_subject_and_goes_on(changed, settings, ada, lag):
    choose(settings, "database", lag)
    opened = open_session(ada)
    changed()
    assert admit(opened.access_token).user().pk == ada.pk
    settings.AUTHX_REFRESH_GRACE = timedelta(microseconds=1)
    newer = refresh_session(opened.refresh_token)
    assert newer.claims.sub == opened.claims.sub != open_session(ada).claims.sub
    assert admit(newer.access_token).user().pk == ada.pk
    assert {session.pk for session in live_sessions(ada)} >= {opened.session.pk}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lag", [timedelta(0), timedelta(seconds=1)], ids=["database", "lag"])
def test_ending_all_of_a_user_ends_those_under_the_other_subject(changed, settings, ada, bob, lag):
    choose(settings, "database", lag)
    old, others = open_session(ada), open_session(bob)
    changed()
    new, others_new = open_session(ada), open_session(bob)
    assert end_user_sessions(ada, "kicked", note="why") == 2
    for one in (old, new):
        with pytest.raises(SessionEnded, match="kicked"):
            verify_access_token(one.access_token)
        assert_over(one, "kicked")
        assert row(one).events.filter(kind="ended", note="why").count() == 1
    for one in (others, others_new):
        assert verify_access_token(one.access_token)
        assert recognize(one.access_token)
    assert RevocationLogEntry.objects.filter(subject_key=str(old.session.pk)).exists()
    assert end_user_sessions(ada, "kicked") == 0


def test_those_of_a_user_without_a_value_end_as_well(settings, ada):
    opened = open_session(ada)
    ada.last_login = None
    settings.AUTHX_SUBJECT_FIELD = "last_login" if CUSTOM else "last_name"
    assert end_user_sessions(ada, "kicked") == 1
    assert_over(opened, "kicked")
    assert not NotBeforeMark.objects.exclude(number=0).exists()


@plain
@pytest.mark.django_db(transaction=True)
def test_subjects_that_only_a_database_takes_for_one_are_both_ended(shown, ada):
    """MariaDB compares without case and accents; tokens, copies and services do not."""
    choose(shown, "database", timedelta(seconds=1))
    old = open_session(ada)
    shown.AUTHX_SUBJECT_FIELD = None
    DeviceSession.objects.update(subject="ADA")
    old = refresh_session(old.refresh_token)
    assert old.claims.sub == "ADA"
    shown.AUTHX_SUBJECT_FIELD = FIELD
    new = open_session(ada)
    end_user_sessions(ada, "kicked")
    for one in (old, new):
        with pytest.raises(SessionEnded, match="kicked"):
            verify_access_token(one.access_token)
        assert_over(one, "kicked")


@plain
def test_a_subject_that_another_user_had_as_a_key_ends_too_much_rather_than_too_little(shown, make_user, bob):
    shown.AUTHX_SUBJECT_FIELD = None
    his = open_session(bob)
    shown.AUTHX_SUBJECT_FIELD = FIELD
    numbered = make_user(str(bob.pk))
    hers = open_session(numbered)
    assert end_user_sessions(bob, "kicked") == 1
    assert_over(his, "kicked")
    assert recognize(hers.access_token).user == numbered


# What the user does


@pytest.mark.parametrize(
    ("change", "reason"),
    [("password", "password_changed"), ("disable", "user_disabled"), ("delete", "user_deleted")],
)
def test_a_changed_user_ends_the_sessions_of_either_subject(changed, ada, change, reason):
    old = open_session(ada)
    changed()
    new = open_session(ada)
    subjects = {row(old).subject, row(new).subject}
    if change == "delete":
        ada.delete()
    else:
        ada.is_active = change != "disable"
        ada.set_password("another")
        ada.save()
    for one in (old, new):
        assert_over(one, reason)
    assert {row(old).subject, row(new).subject} == subjects
    assert len(subjects) == 2


def test_limits_count_a_users_sessions_of_either_subject(changed, settings, ada, bob):
    open_session(ada)
    changed()
    open_session(ada)
    open_session(bob)
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1}]
    assert [session.user for session, _limit in over_the_limits()] == [ada]
    newest = open_session(ada)
    assert [session.pk for session in live_sessions(ada)] == [newest.session.pk]


# Staff


@pytest.fixture
def desk(shown, api, staff):
    for name in ("kick_devicesession", "kick_everywhere_devicesession"):
        staff.user_permissions.add(Permission.objects.get(codename=name))
    opened = open_session(staff)
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {opened.access_token}")
    return api


def test_staff_find_a_user_by_the_subject_and_what_was_opened_under_the_key(desk, shown, ada, bob):
    shown.AUTHX_SUBJECT_FIELD = None
    old = open_session(ada)
    shown.AUTHX_SUBJECT_FIELD = FIELD
    new = open_session(ada)
    open_session(bob)
    listed = desk.get("/api/auth/staff/sessions/", {"user": value(ada)}).json()
    assert {one["id"] for one in listed} == {str(old.session.pk), str(new.session.pk)}
    assert [one["user_id"] for one in listed] == [value(ada), str(ada.pk)]
    assert {one["user_pk"] for one in listed} == {str(ada.pk)}
    by_old = desk.get("/api/auth/staff/sessions/", {"user": str(ada.pk)}).json()
    assert [one["id"] for one in by_old] == [str(old.session.pk)]


@pytest.mark.parametrize("nobody", ["nobody", "99999999999999999999999", "\0", "x" * 300, "7.0", "é"])
def test_staff_who_name_nobody_find_nothing(desk, nobody):
    assert desk.get("/api/auth/staff/sessions/", {"user": nobody}).json() == []


def test_staff_kick_a_user_by_the_key(desk, ada, bob):
    opened, others = open_session(ada), open_session(bob)
    answer = desk.post(f"/api/auth/staff/users/{ada.pk}/kick/", {})
    assert answer.json() == {"ended": 1}
    assert_over(opened, "kicked")
    assert recognize(others.access_token)


def test_the_admin_finds_and_kicks_sessions_of_either_subject(changed, settings, admin, ada, bob, password):
    old = open_session(ada)
    changed()
    new, others = open_session(ada), open_session(bob)
    for opened in (old, new):
        found = found_by(DeviceSession.objects.all(), opened.session.subject)
        assert opened.session in found or settings.AUTHX_SUBJECT_FIELD is None
        assert others.session not in found
    client = Client()
    client.force_login(admin)
    sent = {
        "action": "kick_everywhere",
        "_selected_action": [str(new.session.pk)],
        "post": "yes",
        "reason": "",
    }
    client.post("/admin/authx/devicesession/", sent)
    assert_over(old, "kicked")
    assert_over(new, "kicked")
    assert recognize(others.access_token)


# The checks


def found():
    return [(message.id, message.msg) for message in check_subject_field()]


@pytest.mark.parametrize("field", ["nothing", "groups", "device_sessions", "is_authenticated", "pk"])
def test_e021_names_no_column(settings, field):
    settings.AUTHX_SUBJECT_FIELD = field
    ((id_, text),) = found()
    assert id_ == "authx.E021"
    assert f"has no column '{field}'" in text


@pytest.mark.parametrize("field", ["is_staff", "last_login"])
def test_e021_a_column_that_identifies_nobody(settings, field):
    settings.AUTHX_SUBJECT_FIELD = field
    assert [id_ for id_, _text in found()] == ["authx.E021"]
    assert check_subject_field()[0].hint


def test_w021_a_column_that_people_edit(settings):
    settings.AUTHX_SUBJECT_FIELD = get_user_model().USERNAME_FIELD
    ((id_, text),) = found()
    assert (id_, "can be edited" in text) == ("authx.W021", True)


def test_the_key_is_not_complained_of(settings):
    assert found() == []
    settings.AUTHX_SUBJECT_FIELD = get_user_model()._meta.pk.name
    assert found() == []


def column(**fields):
    """What the checks say of a user with these columns; the first is the subject."""
    constraints = fields.pop("constraints", [])
    meta = type("Meta", (), {"app_label": "tests", "constraints": constraints})
    with isolate_apps("tests"):
        model = type("Someone", (models.Model,), {**fields, "Meta": meta, "__module__": __name__})
    return model._meta.get_field(next(iter(fields)))


def unique(**more):
    return models.CharField(max_length=9, **more)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"a": unique()}, "authx.E021"),
        ({"a": unique(unique=True, editable=False)}, None),
        ({"a": unique(unique=True)}, "authx.W021"),
        ({"a": unique(unique=True, editable=False, null=True)}, "authx.W021"),
        ({"a": models.UUIDField(unique=True, default=uuid.uuid4)}, None),
        ({"a": models.DecimalField(unique=True, max_digits=5, decimal_places=2)}, "authx.E021"),
        ({"a": models.BinaryField(unique=True)}, "authx.E021"),
        (
            {"a": unique(editable=False), "constraints": [models.UniqueConstraint("a", name="e")]},
            "authx.E021",
        ),
        (
            {"a": unique(editable=False), "constraints": [models.UniqueConstraint(fields=["a"], name="u")]},
            None,
        ),
        (
            {
                "a": unique(editable=False),
                "b": unique(),
                "constraints": [models.UniqueConstraint(fields=["a", "b"], name="two")],
            },
            "authx.E021",
        ),
        (
            {
                "a": unique(editable=False),
                "constraints": [
                    models.UniqueConstraint(fields=["a"], condition=models.Q(a__gt="m"), name="some")
                ],
            },
            "authx.E021",
        ),
    ],
)
def test_each_kind_of_column_is_judged(settings, monkeypatch, fields, expected):
    settings.AUTHX_SUBJECT_FIELD = "a"
    field = column(**fields)
    monkeypatch.setattr("authx.checks.subjects.subject_field", lambda: field)
    assert [id_ for id_, _text in found()] == ([expected] if expected else [])


def test_workers_that_show_different_subjects_are_told_apart(settings):
    before = fingerprint()
    settings.AUTHX_SUBJECT_FIELD = FIELD
    assert fingerprint() != before


def test_a_request_that_logs_in_by_hand_is_refused_before_anything_is_written(nameless):
    with pytest.raises(LoginRefused):
        open_session(nameless, RequestFactory().get("/"))
    assert not DeviceSession.objects.exists()
