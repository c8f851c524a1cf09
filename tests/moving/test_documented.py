"""What docs/moving.md tells people to write that neither settings nor URLs of these tests are made of."""

import ast
import re
from types import ModuleType

import jwt
import pytest
from django.core import signing
from django.utils.module_loading import import_string
from rest_framework_simplejwt.tokens import RefreshToken

from authx.sessions import end_user_sessions, open_session
from tests.documented import DOCS, documented

pytestmark = pytest.mark.django_db


def test_what_is_named_is_there():
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / "moving.md").read_text(), re.MULTILINE | re.DOTALL)
    named = [
        node.value
        for block in blocks
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Constant)
    ]
    paths = [value for value in named if re.fullmatch(r"authx\.contrib\.moving\.\w+\.\w+", str(value))]
    assert len(paths) >= 5
    for path in paths:
        import_string(path)


def test_the_arguments_of_the_view_are_those_that_the_page_lists():
    from authx.contrib.moving.simplejwt import Refresh

    text = (DOCS / "moving.md").read_text()
    table = text[text.index("`Refresh.as_view(...)` also takes") :].split("\n\n")[1]
    listed = {row.split("|")[1].strip(" `"): row.split("|")[2].strip(" `") for row in table.splitlines()[2:]}
    for name, default in listed.items():
        assert hasattr(Refresh, name)
        if default in {"False", '""'}:
            assert repr(getattr(Refresh, name)).replace("'", '"') == default
    Refresh.as_view(**dict.fromkeys(listed))


def test_a_site_whose_clients_keep_their_token(api, ada, settings, password):
    names = {}
    exec(documented("moving.md", "python", "reusable=True"), names)
    module = ModuleType("urls_of_clients_that_keep_their_token")
    module.urlpatterns = names["urlpatterns"]
    settings.ROOT_URLCONF = module
    old = api.post("/api/token/", {"username": "ada", "password": password}).json()
    assert set(old) == {"access", "refresh"}
    RefreshToken(old["refresh"])
    answers = [api.post("/api/token/refresh/", {"refresh": old["refresh"]}) for _time in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["session_id"] for answer in answers}) == 1


def test_the_old_claim_and_the_old_word(api, ada, settings, monkeypatch):
    names = {}
    exec(documented("moving.md", "python", "def old_claims"), names)
    monkeypatch.setattr("tests.moving.test_documented.old_claims", names["old_claims"], raising=False)
    settings.AUTHX_CLAIMS = "tests.moving.test_documented.old_claims"
    claims = jwt.decode(open_session(ada).access_token, options={"verify_signature": False})
    assert claims["user_id"] == claims["sub"] == str(ada.pk)
    drf = {"REST_FRAMEWORK": dict(settings.REST_FRAMEWORK)}
    exec(documented("moving.md", "python", 'REST_FRAMEWORK["EXCEPTION_HANDLER"]'), drf)
    settings.REST_FRAMEWORK = drf["REST_FRAMEWORK"]
    answer = api.get("/api/whoami/", headers={"Authorization": "Bearer a.b.c"})
    assert answer.json()["code"] == "token_not_valid"


def test_a_credential_of_the_sites_own(api, ada, settings):
    names = {}
    exec(documented("moving.md", "python", "OwnExchange"), names)
    module = ModuleType("urls_of_own_tokens")
    module.urlpatterns = names["urlpatterns"]
    settings.ROOT_URLCONF = module

    def exchange(token):
        return api.post("/api/own/", {"token": token, "device": {"id": "phone"}}, format="json")

    def signed(user_id, issued_at=2_000_000_000):
        return signing.dumps([user_id, issued_at], salt="our-old-tokens")

    first, again = (exchange(signed(ada.pk)).json() for _time in range(2))
    assert first["session_id"] == again["session_id"]
    for token in ("", "x", None, 7, [":"], {":": 1}, signing.dumps([ada.pk, 1], salt="another")):
        assert exchange(token).json()["code"] == "refresh_malformed"
    assert exchange(signed(0)).json()["reason"] == "user_deleted"
    end_user_sessions(ada, "kicked")
    assert exchange(signed(ada.pk, 1)).json()["reason"] == "kicked"
