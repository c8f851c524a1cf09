"""An upgrade signs nobody out, revives nothing, and loses no row."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import Client

from authx.gate import verify_access_token
from authx.models import DeviceSession
from authx.models.device_sessions import uuid7
from authx.sessions import end_session
from tests.upgrade.recorded_site import PASSWORD, basic, redemption

pytestmark = pytest.mark.user_model("auth.User")  # whose rows the records hold

BROWSERS = ["browser", "browser, renewed", "browser that signed in by the API"]
APPS = ["phone before a key of its own", "phone", "phone that has not used its newest tokens", "stepped up"]


def refresh(token, status=200):
    answer = Client().post("/api/auth/refresh/", {"refresh_token": token}, content_type="application/json")
    assert answer.status_code == status, answer.content
    return answer.json()


def api(tokens, path="/api/whoami/"):
    return Client().get(path, headers={"Authorization": f"Bearer {tokens['access_token']}"})


def browser(held):
    """The browser, quarter of an hour later: without what has expired."""
    found = Client()
    for name, value in held["cookies"].items():
        if name != "__Host-authx_access":
            found.cookies[name] = value
    return found


def form(path, credentials, **fields):
    kind, headers = "application/x-www-form-urlencoded", {"Authorization": basic(*credentials)}
    return Client().post(path, urlencode(fields), content_type=kind, headers=headers)


def test_no_row_is_lost(upgraded):
    for label, rows in upgraded["tables"].items():
        model = apps.get_model(label)
        keys = {str(row[model._meta.pk.attname]) for row in rows}
        assert keys <= {str(key) for key in model._base_manager.values_list("pk", flat=True)}, label


def old_models(upgraded):
    """Our models as the code knows them that has left this record."""
    state = MigrationLoader(connection).project_state([*upgraded["migrations"].items()])
    return list(state.apps.get_app_config("authx").get_models())


def test_rows_that_old_code_writes_beside_the_new_are_whole(upgraded):
    """It names no column that was added since, and every one that there was."""
    for model in old_models(upgraded):
        with connection.cursor() as cursor:
            table = connection.introspection.get_table_description(cursor, model._meta.db_table)
        known = {field.column for field in model._meta.concrete_fields}
        assert known <= {column.name for column in table}, model
        added = [column for column in table if column.name not in known]
        assert [column.name for column in added if not column.null_ok and column.default is None] == []


def test_a_session_that_old_code_opens_is_known_to_the_new(upgraded):
    (model,) = (model for model in old_models(upgraded) if model.__name__ == "DeviceSession")
    row = model.objects.filter(ended_at=None, client_id="").first()
    row.pk, row.adopted_from, row.login_key = uuid7(), None, None
    row.save(force_insert=True)
    session = DeviceSession.objects.get(pk=row.pk)
    assert end_session(session, "kicked")
    assert model.objects.get(pk=row.pk).end_reason == "kicked"


@pytest.mark.parametrize("who", APPS)
def test_an_app_goes_on(upgraded, who):
    held = upgraded["held"][who]
    tokens = refresh(held["refresh_token"])
    assert tokens["session_id"] == held["session_id"]
    assert api(tokens).json()["sid"] == held["session_id"]


@pytest.mark.parametrize("who", APPS)
def test_an_access_token_is_good_until_it_expires(upgraded, who):
    held = upgraded["held"][who]
    claims = verify_access_token(held["access_token"], now=upgraded["at"] + timedelta(minutes=5))
    assert claims.sid == held["session_id"]


def test_an_app_whose_last_answer_was_lost_goes_on(upgraded):
    held = upgraded["held"]["phone whose last answer was lost"]
    assert refresh(held["refresh_token"])["session_id"] == held["session_id"]


@pytest.mark.parametrize("who", BROWSERS)
def test_a_browser_is_renewed_silently(upgraded, who):
    held = upgraded["held"][who]
    holder = browser(held)
    answer = holder.get("/whoami/")
    assert answer.json() == {"user": held["user"], "session": held["session_id"]}
    assert "__Host-authx_refresh" in answer.cookies
    assert holder.get("/whoami/").json() == answer.json()
    assert holder.get("/account/devices/").status_code == 200


def test_a_browser_whose_cookies_have_not_come_back_gets_them(upgraded):
    held = upgraded["held"]["browser whose cookies have not come back"]
    answer = browser(held).get("/whoami/")
    assert answer.json() == {"user": held["user"], "session": held["session_id"]}
    assert "__Host-authx_refresh" in answer.cookies


def test_a_browser_from_before_authx_is_adopted(upgraded):
    held = upgraded["held"]["browser from before authx"]
    before = {str(key) for key in DeviceSession.objects.values_list("pk", flat=True)}
    found = browser(held).get("/whoami/").json()
    assert found["user"] == held["user"]
    assert found["session"] not in before


@pytest.mark.parametrize(("who", "reason"), [("kicked", "kicked"), ("marked", "kicked")])
def test_what_had_ended_stays_ended_and_says_why(upgraded, who, reason):
    held = upgraded["held"][who]
    told = refresh(held["refresh_token"], 401)
    assert (told["code"], told["reason"]) == ("session_ended", reason)


def test_what_a_step_up_has_ended_stays_ended(upgraded):
    held = upgraded["held"]["stepped up"]
    told = refresh(held["spent_by_step_up"], 401)
    assert (told["code"], told["reason"]) == ("session_ended", "superseded")


def test_a_stolen_token_of_before_is_found_out(upgraded):
    """A spent one, whose successor the upgraded site sees in use."""
    held = upgraded["held"]["phone that has not used its newest tokens"]
    newest = refresh(held["refresh_token"])
    assert api(newest).status_code == 200
    DeviceSession.objects.filter(pk=held["session_id"]).update(generation=4, confirmed_generation=4)
    assert refresh(held["spent"], 401)["code"] == "refresh_reused"
    assert api(newest).json()["reason"] == "reused"


def test_an_app_of_somebody_elses_goes_on(upgraded):
    held = upgraded["held"]["app of somebody else's"]
    grant = {"grant_type": "refresh_token", "refresh_token": held["refresh_token"]}
    assert form("/oauth/token/", held["credentials"], **grant).status_code == 200
    redeemed = form("/oauth/token/", held["credentials"], **redemption(held["code"]))
    assert redeemed.status_code == 200, redeemed.content


def test_a_service_goes_on(upgraded):
    held = upgraded["held"]["service"]
    grant = {"grant_type": "client_credentials", "resource": held["calls"]}
    assert form("/oauth/token/", held["credentials"], **grant).status_code == 200
    asked = form("/api/auth/introspect/", held["credentials"], token=held["access_token"])
    assert asked.status_code == 200, asked.content


def test_signing_keys_stay(upgraded):
    published = {key["kid"] for key in json.loads(Client().get("/.well-known/jwks.json").content)["keys"]}
    assert {row["kid"] for row in upgraded["tables"]["authx.signingkey"]} <= published


def test_the_next_login_and_the_next_kick_work(upgraded):
    held = upgraded["held"]["phone"]
    staff = Client()
    assert staff.post("/account/login/", {"username": "admin", "password": PASSWORD}).status_code == 302
    assert staff.get("/admin/authx/devicesession/").status_code == 200
    assert staff.get(f"/admin/authx/devicesession/{held['session_id']}/change/").status_code == 200
    kick = f"/api/auth/staff/sessions/{held['session_id']}/kick/"
    assert staff.post(kick, {}, content_type="application/json").json() == {"ended": 1}
    assert refresh(held["refresh_token"], 401)["reason"] == "kicked"
