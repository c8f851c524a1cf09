"""What a client that came by the code flow loses when its user disconnects it, or what lets it in ends."""

from http import HTTPStatus

import pytest
from django.contrib.auth import get_user_model

from authx.models import Consent, DeviceSession
from tests.oauth.flow import basic, code_of, post, redemption, tokens_of
from tests.oauth.test_authorize import sent_to, url
from tests.rows import disable

DEVICES = "/account/devices/"
DISCONNECT = f"{DEVICES}apps/reader/disconnect/"

pytestmark = pytest.mark.django_db


def is_active(tokens):
    """Whether the access token is good, by the word of the site."""
    answer = post({"token": tokens["access_token"]}, basic(), path="/api/auth/introspect/")
    return answer.json()["active"]


def refreshed(tokens):
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    return post(form, basic())


def is_over(tokens):
    """Whether nothing is left: neither of its tokens, whichever is asked about first."""
    answer = refreshed(tokens)
    assert not is_active(tokens)
    return (answer.status_code, answer.json()["error"]) == (HTTPStatus.BAD_REQUEST, "invalid_grant")


def test_the_page_shows_what_the_user_has_allowed(signed_in, app):
    tokens_of(signed_in, scope="orders:read orders:write")
    page = signed_in.get(DEVICES).content.decode()
    for words in ("Reader", "api.example", "See your orders", "Change your orders"):
        assert words in page
    assert "You are not signed in anywhere else." in page


def test_disconnected_it_has_nothing_and_its_user_is_asked_again(signed_in, app):
    tokens, code = tokens_of(signed_in), code_of(signed_in)
    assert is_active(tokens)
    assert sent_to(signed_in.get(url()))[1]["code"]  # not asked: the consent is remembered
    assert signed_in.post(DISCONNECT)["Location"] == DEVICES
    assert is_over(tokens)
    assert post(redemption(code), basic()).json()["error"] == "invalid_grant"
    page = signed_in.get(url())
    assert 'name="decision"' in page.content.decode()
    assert DeviceSession.objects.live().get().client_id == ""


def set_password(user):
    user.set_password("another-good-one")
    user.save()


def set_password_in_bulk(user):
    user.set_password("another-good-one")
    get_user_model()._default_manager.filter(pk=user.pk).update(password=user.password)


ENDS = {
    "a new password": set_password,
    "a new password in bulk": set_password_in_bulk,
    "a ban in bulk": disable,
    "a deletion": lambda user: user.delete(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_what_ends_the_user_s_sessions_ends_it_too(end, signed_in, app, ada):
    tokens = tokens_of(signed_in)
    assert refreshed(tokens).status_code == HTTPStatus.OK
    end(ada)
    assert is_over(tokens)


@pytest.mark.parametrize("path", ["/account/logout/", f"{DEVICES}end-others/"])
def test_signing_out_leaves_it_connected(path, signed_in, app):
    tokens = tokens_of(signed_in)
    assert signed_in.post(path).status_code in {HTTPStatus.OK, HTTPStatus.FOUND}
    assert is_active(tokens)
    assert refreshed(tokens).status_code == HTTPStatus.OK


def test_the_api_lists_and_disconnects_it(signed_in, app):
    tokens = tokens_of(signed_in)
    (shown,) = signed_in.get("/api/auth/connected-apps/").json()
    assert shown["client"] == {"id": "reader", "name": "Reader"}
    assert signed_in.delete(f"/api/auth/connected-apps/{shown['id']}/").status_code == HTTPStatus.NO_CONTENT
    assert is_over(tokens)
    assert not Consent.objects.exists()


def test_its_own_tokens_list_nothing_and_disconnect_nothing(signed_in, app, client):
    tokens = tokens_of(signed_in)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.get("/api/auth/connected-apps/", headers=bearer).status_code == HTTPStatus.UNAUTHORIZED
    response = client.delete("/api/auth/connected-apps/reader/", headers=bearer)
    assert response.status_code == HTTPStatus.UNAUTHORIZED
    assert is_active(tokens)
