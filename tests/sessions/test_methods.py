"""authx.core.methods, authx.sessions.methods, authx.pages.proofs: what ``amr`` says of a login, and since."""

import time
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.contrib.auth import login
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

from authx.core.actor import Actor
from authx.core.methods import BUILT_IN, combined, is_word, methods_named
from authx.gate import verify_access_token
from authx.http import proof_notes
from authx.models import DeviceSession, SessionEvent
from authx.pages import proofs
from authx.sessions import end_session, open_session, refresh_session
from authx.sessions.methods import add_methods, backend_methods, methods_of, password_methods

MODEL = "django.contrib.auth.backends.ModelBackend"
PASSKEYS = "passkeys.backend.PasskeyModelBackend"
SITE = "tests.site.backends"
#: RFC 8176 §2.
REGISTERED = {"face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin"}
REGISTERED |= {"pwd", "rba", "retina", "sc", "sms", "swk", "tel", "user", "vbm", "wia"}


# Words


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ([()], ()),
        ([("pwd",)], ("pwd",)),
        ([("pwd",), ("pwd",)], ("pwd",)),
        ([("pwd",), ("otp",)], ("pwd", "otp", "mfa")),
        ([("otp",), ("sms",)], ("otp", "sms")),
        ([("pwd", "pin")], ("pwd", "pin")),
        ([("fpt",), ("swk", "user")], ("fpt", "swk", "user", "mfa")),
        ([("swk", "user")], ("swk", "user")),
        ([("mfa", "swk"), ("swk",)], ("swk", "mfa")),
        ([("user", "geo", "wia", "site:word")], ("user", "geo", "wia", "site:word")),
    ],
)
def test_two_kinds_are_two_factors(given, made):
    assert combined(*given) == made


def test_the_built_in_table_speaks_rfc_8176():
    assert {word for words in BUILT_IN.values() for word in words} <= REGISTERED
    assert all(is_word(word) for word in REGISTERED)


def test_nothing_built_in_claims_hardware():
    assert not [name for name, words in BUILT_IN.items() if "hwk" in words]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("allauth.mfa.totp", ("otp",)),
        ("allauth.mfa.something-new", ()),
        ("allauth.socialaccount.google", ()),
        ("allauth.password_reset", ()),
        ("allauth.code.email", ("otp",)),
        ("allauth.code.phone", ("sms",)),
        ("django_otp.otp_totp.totpdevice", ("otp",)),
        ("django_otp.two_factor_webauthn.webauthndevice", ("swk", "user")),
        ("django_otp.phonenumber.phonedevice.sms", ("sms",)),
        ("django_otp.phonenumber.phonedevice.call", ("tel",)),
        ("mfa2.trusted_device", ()),
        ("", ()),
        ("....", ()),
    ],
)
def test_a_proof_is_what_its_name_or_what_leads_it_says(name, words):
    assert methods_named(name, {}) == words


def test_the_sites_table_comes_first(settings):
    settings.AUTHX_AMR = {"django_otp": ["hwk"], "allauth.mfa.totp": []}
    assert methods_of("django_otp.otp_totp.totpdevice") == ("hwk",)
    assert methods_of("allauth.mfa.totp") == ()
    assert methods_of("allauth.password", "django_otp.x.y") == ("pwd", "hwk", "mfa")


# Backends


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "words"),
    [
        (MODEL, ("pwd",)),
        ("django.contrib.auth.backends.AllowAllUsersModelBackend", ("pwd",)),
        ("django.contrib.auth.backends.RemoteUserBackend", ()),
        (f"{SITE}.ByEmail", ("pwd",)),
        (f"{SITE}.Quiet", ("pwd",)),
        (f"{SITE}.Directory", ("pwd",)),
        (f"{SITE}.Ticket", ()),
        (f"{SITE}.Anything", ()),
        (f"{SITE}.Header", ()),
        (f"{SITE}.Useless", ()),
        (f"{SITE}.factory", ()),
        (f"{SITE}.missing", ()),
        ("nowhere.to.be.found", ()),
        ("", ()),
        (None, ()),
    ],
)
def test_a_backend_is_one_for_passwords_if_it_asks_for_one(path, words, ada):
    ada.backend = path
    assert backend_methods(ada) == words


@pytest.mark.django_db
def test_a_user_without_a_password_has_not_typed_it(ada, settings):
    ada.set_unusable_password()
    for ada.backend in (MODEL, f"{SITE}.ByEmail"):
        assert backend_methods(ada) == ()
    ada.backend = f"{SITE}.Directory"  # which keeps passwords of its own
    assert backend_methods(ada) == ("pwd",)


@pytest.mark.django_db
def test_the_table_knows_a_backend_and_those_that_authenticate_as_it_does(ada, settings):
    settings.AUTHX_AMR = {f"{SITE}.Ticket": ["wia"], f"{SITE}.ByEmail": ["pwd", "otp"], MODEL: ["kba"]}
    said = {}
    for name in ("Ticket", "ByEmail", "Quiet", "Anything", "Directory"):
        ada.backend = f"{SITE}.{name}"
        said[name] = backend_methods(ada)
    assert said == {
        "Ticket": ("wia",),
        "ByEmail": ("pwd", "otp", "mfa"),
        "Quiet": ("pwd", "otp", "mfa"),
        "Anything": (),  # it authenticates in its own way
        "Directory": ("pwd",),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["Anything", "Ticket", "Directory"])
def test_where_a_password_was_just_accepted_it_is_one(name, ada):
    ada.backend = f"{SITE}.{name}"
    assert password_methods(ada) == ("pwd",)


@pytest.mark.django_db
def test_unless_the_table_says_what_else(ada, settings):
    ada.backend = f"{SITE}.Directory"
    settings.AUTHX_AMR = {ada.backend: ["pwd", "otp"]}
    assert password_methods(ada) == ("pwd", "otp", "mfa")


@pytest.mark.django_db
@pytest.mark.parametrize("transport", ["body", "cookie"])
def test_the_apis_login_asks_the_same_table(transport, api, ada, password, settings):
    settings.AUTHX_AMR = {MODEL: ["pwd", "pin"]}
    body = {"username": ada.get_username(), "password": password, "transport": transport}
    assert api.post("/api/auth/login/", body).status_code == 200
    assert DeviceSession.objects.get().amr == ["pwd", "pin"]


@pytest.mark.django_db
def test_our_own_page_knows_that_it_was_a_password(client, ada, password, settings):
    settings.AUTHENTICATION_BACKENDS = [f"{SITE}.TakesAll"]
    typed = {"username": ada.get_username(), "password": password}
    assert client.post("/django-login/", typed).status_code == 302
    assert DeviceSession.objects.live().get().amr == []
    assert client.post("/account/login/", typed).status_code == 302
    assert DeviceSession.objects.live().get().amr == ["pwd"]


# What other apps have noted


@pytest.fixture
def request_(ada):
    """A request whose Django session was written to before, by nobody in particular."""
    request = RequestFactory().get("/")
    request.session = import_module("django.contrib.sessions.backends.db").SessionStore()
    return request


def amr(request, user, backend=MODEL, **noted):
    """Log in with this in the Django session."""
    request.session.update(noted)
    user.backend = backend
    login(request, user)
    return DeviceSession.objects.live().get().amr


def record(method, ago=1, **more):
    return {"method": method, "at": time.time() - ago, **more}


def records(user, *noted):
    return {
        "account_authentication_methods": list(noted),
        "account_authentication_methods_user": str(user.pk),
    }


pages = pytest.mark.django_db


@pages
def test_a_login_that_nobody_has_noted_is_its_backends(request_, ada):
    assert amr(request_, ada) == ["pwd"]


@pages
@pytest.mark.parametrize(
    ("noted", "words"),
    [
        ([record("password")], ["pwd"]),
        ([record("password"), record("mfa", type="totp", id=1)], ["pwd", "otp", "mfa"]),
        ([record("mfa", type="webauthn", passwordless=True, id=1)], ["swk", "user", "mfa"]),
        ([record("mfa", type="webauthn", id=1)], ["swk", "user"]),
        ([record("socialaccount", provider="google", uid="7")], []),
        ([record("password_reset", email="x@example.com")], []),
        ([record("code", email="x@example.com")], ["otp"]),
        ([record("code", phone="+49")], ["sms"]),
        ([record("something-new")], []),
        ([record("password", ago=3600)], ["pwd"]),  # of another login; the backend answers for this one
        ([record("password", ago=3600), record("code")], ["otp"]),
    ],
)
def test_allauths_records_come_before_the_backend(noted, words, request_, ada):
    assert amr(request_, ada, **records(ada, *noted)) == words


@pages
def test_those_of_another_user_do_not_count(request_, ada, bob):
    assert amr(request_, ada, **records(bob, record("mfa", type="totp", id=1))) == ["pwd"]


@pages
def test_before_allauth_named_the_user_only_what_names_them_counts(request_, ada):
    mine = record("password", username=ada.get_username().upper())
    assert amr(request_, ada, account_authentication_methods=[mine]) == ["pwd"]


@pages
@pytest.mark.parametrize(
    "theirs",
    [
        record("password", username="eve"),
        record("password"),
        record("mfa", type="totp", id=1),
        record("mfa", type="totp"),
        record("socialaccount", provider="google", uid="7"),
        record("code", phone="+49"),
        record("password", username="eve", email="ada@example.com"),
    ],
)
def test_and_of_the_rest_nobody_knows_whose_it_was(theirs, request_, ada):
    assert amr(request_, ada, account_authentication_methods=[theirs]) == []


MFA2 = [
    ("TOTP", ["pwd", "otp", "mfa"]),
    ("RECOVERY", ["pwd", "otp", "mfa"]),
    ("Email", ["pwd", "otp", "mfa"]),
    ("FIDO2", ["pwd", "swk", "user", "mfa"]),
    ("U2F", ["pwd", "swk", "user", "mfa"]),
    ("Trusted Device", ["pwd"]),
    ("NEW", ["pwd"]),
]


@pages
@pytest.mark.parametrize(("method", "words"), MFA2)
def test_what_django_mfa2_has_verified(method, words, request_, ada):
    verified = {"verified": True, "method": method, "id": 1}
    assert amr(request_, ada, base_username=ada.get_username(), mfa=verified) == words


@pages
def test_its_passkey_alone_is_no_password(request_, ada):
    assert amr(request_, ada, mfa={"verified": True, "method": "FIDO2", "id": 1}) == ["swk", "user"]


@pages
@pytest.mark.parametrize(
    "noted",
    [
        {"mfa": {"verified": True, "method": "TOTP", "id": 1}, "base_username": "eve"},
        {"mfa": {"verified": False, "method": "TOTP", "id": 1}},
        {"mfa": {"verified": "yes", "method": "TOTP"}},
        {"mfa": "verified"},
        {"mfa": None},
        {"passkey": {"passkey": True}},  # of another login: this one is by Django's own backend
        {"otp_device_id": "otp_totp.totpdevice/1"},  # whoever has verified that, it was before
        {"account_authentication_methods": "x"},
        {"account_authentication_methods": ["x", {}, {"at": "x"}, {"at": None, "method": "mfa"}]},
    ],
    ids=str,
)
def test_what_is_no_proof_of_this_login(noted, request_, ada):
    assert amr(request_, ada, **noted) == ["pwd"]


@pytest.fixture
def passkeys_backend(monkeypatch, settings):
    """The class of django-passkeys, by its name."""
    from django.contrib.auth.backends import ModelBackend

    class PasskeyModelBackend(ModelBackend):
        def authenticate(self, request, username="", password="", **kwargs):
            raise NotImplementedError

    PasskeyModelBackend.__module__, PasskeyModelBackend.__qualname__ = PASSKEYS.rsplit(".", 1)
    monkeypatch.setattr(f"{SITE}.PasskeyModelBackend", PasskeyModelBackend, raising=False)
    settings.AUTHENTICATION_BACKENDS = [f"{SITE}.PasskeyModelBackend", MODEL]
    return f"{SITE}.PasskeyModelBackend"


@pages
@pytest.mark.parametrize(("flag", "words"), [(True, ["swk", "user"]), (False, ["pwd"])])
def test_django_passkeys_says_which_of_both_it_was(flag, words, passkeys_backend, request_, ada):
    assert amr(request_, ada, backend=passkeys_backend, passkey={"passkey": flag}) == words


class Device:
    """What a form of django-otp leaves on the user."""

    _meta = SimpleNamespace(app_label="phonenumber", model_name="phonedevice")
    method = "call"


@pages
def test_a_device_of_django_otp_by_what_it_does(request_, ada):
    ada.otp_device = Device()
    assert amr(request_, ada) == ["pwd", "tel", "mfa"]


@pages
@pytest.mark.parametrize("device", [None, "x", object()])
def test_no_device_is_none(device, request_, ada):
    ada.otp_device = device
    assert amr(request_, ada) == ["pwd"]


@pages
@pytest.mark.parametrize(
    "noted",
    [
        "",
        "x",
        "x/1",
        "auth.user/1",
        "auth.nothing/1",
        "authx.devicesession/x",
        f"sessions.session/{'9' * 99}",
        7,
        ["x"],
    ],
    ids=str,
)
def test_what_is_no_device_proves_nothing_later_either(noted, request_, ada):
    amr(request_, ada)
    assert not proof_notes.has_news(request_)
    request_.session["otp_device_id"] = noted
    assert proofs.proofs_since(request_, ada) == []


# Added later


@pages
def test_what_is_added_is_written_told_and_in_the_next_token(ada):
    credentials = open_session(ada)
    assert add_methods(credentials.session, ["otp"], Actor(ada))
    assert credentials.session.amr == DeviceSession.objects.get().amr == ["pwd", "otp", "mfa"]
    event = SessionEvent.objects.last()
    assert (event.kind, event.note, event.actor) == ("reauthenticated", "otp mfa", ada)
    assert refresh_session(credentials.refresh_token).claims.amr == ("pwd", "otp", "mfa")


@pages
@pytest.mark.parametrize("methods", [[], ["pwd"]])
def test_nothing_new_is_nothing_written(methods, ada):
    session = open_session(ada).session
    assert not add_methods(session, methods, Actor(ada))
    assert SessionEvent.objects.count() == 1


@pages
def test_what_another_request_has_added_meanwhile_is_kept(ada):
    session = open_session(ada).session
    stale = DeviceSession.objects.get()
    add_methods(session, ["otp"])
    assert add_methods(stale, ["fpt"])
    assert stale.amr == DeviceSession.objects.get().amr == ["pwd", "otp", "fpt", "mfa"]
    assert not add_methods(session, ["fpt"])


@pages
def test_a_session_that_has_ended_is_left_alone(ada):
    session = open_session(ada).session
    end_session(session, "kicked")
    assert not add_methods(session, ["otp"])
    assert DeviceSession.objects.get().amr == ["pwd"]


@pages
def test_the_password_again_is_a_method_too(client, ada, password):
    token = open_session(ada, amr=("swk", "user")).access_token
    body, headers = {"password": password}, {"Authorization": f"Bearer {token}"}
    answer = client.post("/api/auth/reauthenticate/", body, content_type="application/json", headers=headers)
    assert verify_access_token(answer.json()["access_token"]).amr == ("swk", "user", "pwd", "mfa")
    assert DeviceSession.objects.live().get().amr == ["swk", "user", "pwd", "mfa"]


# Nobody was asked again


def test_the_very_visitor_is_known_however_often_wrapped():
    from authx.identity.identity import Identity
    from authx.identity.visit import Visit

    visit, ada = Visit(RequestFactory().get("/"), None), object()
    assert not visit.is_visitor(None)
    visit.identify(Identity(ada))
    wrapped = SimpleLazyObject(lambda: SimpleLazyObject(lambda: ada))
    assert str(wrapped)
    assert visit.is_visitor(ada)
    assert visit.is_visitor(wrapped)
    assert not visit.is_visitor(object())
