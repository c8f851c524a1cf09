"""Logins by allauth: ``amr`` says what its records say."""

import re
import sys
import time
from datetime import timedelta
from html import unescape
from types import ModuleType

import pytest
from allauth.account.internal.userkit import user_id_to_str
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.signals import email_changed
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from allauth.mfa.utils import decrypt
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from authx.gate import verify_access_token
from authx.models import DeviceSession, SessionEvent
from authx.sessions import open_session
from tests.documented import documented as in_the_docs
from tests.house.test_docs import FENCE, ROOT
from tests.second_factors.passkey import PRESENT, Passkey

pytestmark = pytest.mark.django_db

LOGIN, SECOND, PASSKEY = "/accounts/login/", "/accounts/2fa/authenticate/", "/accounts/2fa/webauthn/login/"
SECRET = "JBSWY3DPEHPK3PXP" * 2


@pytest.fixture
def browser():
    return Client(headers={"X-Forwarded-Proto": "https"})


@pytest.fixture
def ada(ada):
    EmailAddress.objects.create(user=ada, email=ada.email, verified=True, primary=True)
    return ada


def totp(user):
    """Switch it on; what an authenticator app shows now."""
    TOTP.activate(user, SECRET)
    return code_now


def code_now():
    return format_hotp_value(hotp_value(SECRET, int(time.time()) // 30))


def by_password(browser, user, password, path=LOGIN):
    name = "login" if path == LOGIN else "username"
    return browser.post(path, {name: user.get_username(), "password": password})


def only_live():
    (session,) = DeviceSession.objects.live()
    return session


def claims(browser):
    return verify_access_token(browser.cookies["__Host-authx_access"].value)


def expect(browser, *words):
    assert only_live().amr == list(words)
    assert claims(browser).amr == words


def test_a_password_alone(browser, ada, password):
    by_password(browser, ada, password)
    expect(browser, "pwd")


def test_a_password_and_an_authenticator_app(browser, ada, password):
    shown = totp(ada)
    by_password(browser, ada, password)
    assert not DeviceSession.objects.exists()
    browser.post(SECOND, {"code": shown()})
    expect(browser, "pwd", "otp", "mfa")


def test_a_full_limit_asks_after_the_second_factor_and_keeps_it(browser, ada, password, settings):
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse", "choose": True}]
    settings.AUTHX_PASSWORD_LOGIN = "tests.site.password_rules.second_factor"
    old, shown = open_session(ada).session, totp(ada)
    assert "proof" not in by_password(browser, ada, password).content.decode()
    asked = browser.post(SECOND, {"code": shown()})
    assert asked.status_code == 409
    proof = unescape(re.search('name="proof" value="([^"]+)"', asked.content.decode())[1])
    browser.post("/account/login/", {"proof": proof, "end": str(old.pk)})
    expect(browser, "pwd", "otp", "mfa")
    assert DeviceSession.objects.get(pk=old.pk).end_reason == "replaced"


def test_an_app_signs_in_without_headless_as_documented(ada, password, settings, monkeypatch):
    module = ModuleType("mysite.auth")
    exec(in_the_docs("allauth.md", "python", "is_mfa_enabled"), vars(module))
    monkeypatch.setitem(sys.modules, "mysite", ModuleType("mysite"))
    monkeypatch.setitem(sys.modules, "mysite.auth", module)
    settings.AUTHX_PASSWORD_LOGIN = "mysite.auth.password_login"
    settings.LOGIN_URL = "account_login"
    app = Client(headers={"X-Forwarded-Proto": "https"})
    body = {"username": ada.username, "password": password}
    assert app.post("/api/auth/login/", body, "application/json").json()["access_token"]
    totp(ada)
    refused = app.post("/api/auth/login/", body, "application/json")
    assert (refused.status_code, refused.json()["code"]) == (401, "second_factor_required")
    assert f'href="{LOGIN}' in by_password(app, ada, password, "/account/login/").content.decode()


def test_a_password_and_a_recovery_code(browser, ada, password):
    totp(ada)
    codes = RecoveryCodes.activate(ada).get_unused_codes()
    by_password(browser, ada, password)
    browser.post(SECOND, {"code": codes[0]})
    expect(browser, "pwd", "otp", "mfa")


@pytest.fixture
def passkey(ada):
    made = Passkey()
    WebAuthn.add(ada, "Laptop", made.registration())
    return made


def challenge(browser):
    from fido2.utils import websafe_decode

    return websafe_decode(browser.session["mfa.webauthn.state"]["challenge"])


def test_a_password_and_a_security_key(browser, ada, password, passkey):
    by_password(browser, ada, password)
    browser.get(SECOND)
    browser.post(SECOND, {"credential": passkey.answer(challenge(browser), flags=PRESENT)})
    expect(browser, "pwd", "swk", "user", "mfa")


def test_a_passkey_is_no_password_whatever_backend_lets_in(browser, ada, passkey):
    browser.get(PASSKEY, headers={"X-Requested-With": "XMLHttpRequest"})
    answer = passkey.answer(challenge(browser), user_id_to_str(ada))
    response = browser.post(PASSKEY, {"credential": answer})
    assert response.status_code == 302
    expect(browser, "swk", "user", "mfa")


def test_a_code_by_mail_is_no_password(browser, ada, mailoutbox):
    browser.post("/accounts/login/code/", {"email": ada.email})
    (code,) = re.findall(r"^([A-Z0-9]{3,}-?[A-Z0-9]{3,})\s*$", mailoutbox[0].body, re.MULTILINE)
    browser.post("/accounts/login/code/confirm/", {"code": code})
    expect(browser, "otp")


def social(browser, ada):
    from allauth.socialaccount.models import SocialAccount

    SocialAccount.objects.get_or_create(user=ada, provider="dummy", uid="7")
    page = browser.post("/accounts/dummy/login/")
    return browser.post(page["Location"], {"id": "7", "email": ada.email, "email_verified": "on"})


def test_a_social_login_says_nothing_of_itself(browser, ada):
    social(browser, ada)
    assert only_live().amr == []


def test_unless_the_site_knows_what_its_provider_asks(browser, ada, settings):
    settings.AUTHX_AMR = {"allauth.socialaccount.dummy": ["pwd", "mfa"]}
    social(browser, ada)
    browser.get("/whoami/")  # the login was in another Django session: its next page brings the cookies
    expect(browser, "pwd", "mfa")


def test_a_social_login_and_an_authenticator_app(browser, ada):
    shown = totp(ada)
    social(browser, ada)
    browser.post(SECOND, {"code": shown()})
    expect(browser, "otp")


@pytest.mark.parametrize("path", ["/account/login/", "/django-login/"])
def test_by_djangos_form_allauths_backend_is_one_for_passwords(path, browser, ada, password, settings):
    settings.AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
    by_password(browser, ada, password, path)
    expect(browser, "pwd")


def test_by_our_api_too(browser, ada, password, settings):
    settings.AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
    body = {"username": ada.get_username(), "password": password}
    assert browser.post("/api/auth/login/", body, content_type="application/json").status_code == 200
    assert only_live().amr == ["pwd"]


def test_what_another_user_has_begun_here_is_not_this_ones(browser, ada, bob, password):
    shown = totp(ada)
    by_password(browser, ada, password)  # and gives up before the second factor
    social(browser, bob)
    assert only_live().amr == []
    assert shown


def test_what_another_begins_beside_a_live_session_is_theirs_alone(browser, ada, bob, password):
    by_password(browser, bob, password, "/django-login/")
    shown = totp(ada)
    kept = browser.session
    kept["account_authentication_methods"] = [{"method": "mfa", "type": "totp", "at": time.time()}]
    kept["account_authentication_methods_user"] = str(ada.pk)
    kept.save()
    browser.get("/accounts/logout/")
    expect(browser, "pwd")
    assert shown


def test_what_was_begun_long_ago_is_not_of_this_login(browser, ada, password, settings):
    totp(ada)
    by_password(browser, ada, password)
    kept = browser.session
    kept["account_authentication_methods"] = [{"method": "password", "at": time.time() - 3600}]
    kept.save()
    Authenticator.objects.all().delete()
    social(browser, ada)
    assert only_live().amr == []


def test_a_second_factor_proved_later_is_added_and_told(browser, ada, password):
    by_password(browser, ada, password)
    before = only_live()
    shown = totp(ada)
    response = browser.post("/accounts/2fa/reauthenticate/", {"code": shown()})
    assert response.status_code == 302
    after = only_live()
    before.refresh_from_db()
    assert (before.end_reason, before.successor) == ("superseded", after.pk)
    assert after.auth_time > before.auth_time
    expect(browser, "pwd", "otp", "mfa")
    event = SessionEvent.objects.filter(session=after).last()
    assert (event.kind, event.note, event.actor) == ("reauthenticated", "otp mfa", ada)


def test_the_password_again_is_a_step_up(browser, ada, password):
    by_password(browser, ada, password)
    before = only_live()
    browser.post("/accounts/reauthenticate/", {"password": password})
    expect(browser, "pwd")
    assert only_live().auth_time > before.auth_time
    assert claims(browser).sid == str(only_live().pk) != str(before.pk)
    assert SessionEvent.objects.get(kind="reauthenticated").note == ""


def test_the_proof_is_as_old_as_allauth_says(browser, ada, password):
    """It could not be noted when it was made, and was noted later."""
    by_password(browser, ada, password)
    before = only_live()
    DeviceSession.objects.update(auth_time=before.auth_time - timedelta(hours=1))
    kept = browser.session
    at = time.time() - 600
    kept["account_authentication_methods"] = [{"method": "password", "at": at, "username": "ada"}]
    kept["_authx_proofs"] = {**kept["_authx_proofs"], "allauth": at - 1}
    kept.save()
    browser.get("/prove-nothing/")
    assert abs(only_live().auth_time.timestamp() - at) < 1


def test_a_new_login_in_the_same_browser_says_only_how_it_was_made(browser, ada, password):
    shown = totp(ada)
    by_password(browser, ada, password)
    browser.post(SECOND, {"code": shown()})
    by_password(browser, ada, password, "/django-login/")
    expect(browser, "pwd")


def test_a_signup_without_a_password_claims_none(browser, ada, settings):
    user = get_user_model()._default_manager.create_user("eve", "eve@example.com")
    user.last_login = timezone.now()
    assert not user.has_usable_password()
    from allauth.account.adapter import get_adapter
    from django.test import RequestFactory

    request = RequestFactory().get("/")
    request.session = browser.session
    get_adapter().login(request, user)
    assert only_live().amr == []


# --- ending the other sessions, as docs/operations.md has it


@pytest.fixture
def documented(transactional_db):
    """The receiver of the documentation, connected."""
    (text,) = (
        block
        for language, block in FENCE.findall((ROOT / "docs" / "operations.md").read_text())
        if language == "python" and "credentials_changed" in block
    )
    names = {}
    exec(text, names)
    yield
    for signal in (email_changed, authenticator_added, authenticator_removed, authenticator_reset):
        assert signal.disconnect(names["end_the_other_sessions"])


@pytest.fixture
def elsewhere(documented, ada, password):
    """Another browser of hers."""
    other = Client(headers={"X-Forwarded-Proto": "https"})
    by_password(other, ada, password)
    return other


def switch_on(browser, user):
    """Add an authenticator app as its user does, on allauth's page."""
    secret = browser.get("/accounts/2fa/totp/activate/").context["form"].secret
    code = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    return browser.post("/accounts/2fa/totp/activate/", {"code": code})


def switch_off(browser, user):
    return browser.post("/accounts/2fa/totp/deactivate/")


def new_codes(browser, user):
    return browser.post("/accounts/2fa/recovery-codes/generate/")


def change_address(browser, user):
    new = EmailAddress.objects.create(user=user, email="countess@example.com", verified=True)
    return browser.post("/accounts/email/", {"action_primary": "", "email": new.email})


def assert_only_this_one_is_left(here, there):
    assert here.get("/whoami/").status_code == 200
    assert str(only_live().pk) == claims(here).sid
    page = there.get("/account/login/").content.decode()
    assert "because the way you sign in was changed" in page
    assert 'data-reason="credentials_changed"' in page
    ended = DeviceSession.objects.get(end_reason="credentials_changed")
    assert ended.ended_by == ended.user == only_live().user


@pytest.mark.parametrize("change", [switch_on, change_address])
def test_a_change_ends_the_others(change, browser, elsewhere, ada, password):
    by_password(browser, ada, password)
    browser.post("/accounts/reauthenticate/", {"password": password})
    assert change(browser, ada).status_code == 302
    assert_only_this_one_is_left(browser, elsewhere)


@pytest.mark.parametrize("change", [switch_off, new_codes])
def test_so_does_one_of_a_second_factor_that_was_there(change, browser, elsewhere, ada, password):
    shown = totp(ada)
    by_password(browser, ada, password)
    browser.post(SECOND, {"code": shown()})
    asked = change(browser, ada)
    assert DeviceSession.objects.live().count() == 2
    assert browser.post(asked["Location"], {"password": password}).status_code == 302  # and it is done now
    assert_only_this_one_is_left(browser, elsewhere)


def test_an_address_that_is_confirmed_in_anothers_browser_ends_all_of_hers(
    elsewhere, browser, ada, bob, password, settings
):
    settings.ACCOUNT_CHANGE_EMAIL = True
    new = EmailAddress.objects.create(user=ada, email="countess@example.com")
    by_password(browser, bob, password, "/django-login/")
    browser.post(f"/accounts/confirm-email/{EmailConfirmationHMAC(new).key}/")
    assert DeviceSession.objects.get(user=ada).end_reason == "credentials_changed"


def test_the_seed_is_kept_as_allauth_keeps_it(ada):
    totp(ada)
    assert decrypt(Authenticator.objects.get().data["secret"]) == SECRET
