"""Disconnecting an app in a real browser, without JavaScript, on a narrow screen."""

import pytest

from authx.models import DeviceSession
from tests.apps import connect, make_client, reason_of

NAME = "Averyveryverylongnameofanappwithoutanyblank"


@pytest.mark.parametrize("width", [360, 1280])
def test_a_button_disconnects_an_app(chromium, live_server, transactional_db, ada, password, settings, width):
    settings.AUTHX_SCOPES = {"orders:read": f"See your orders, {NAME * 2}"}
    context = chromium.new_context(viewport={"width": width, "height": 800}, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{live_server.url}/account/login/?next=/account/devices/")
    page.fill("[name=username]", ada.get_username())
    page.fill("[name=password]", password)
    page.click("button[type=submit]")
    login = DeviceSession.objects.first_party().get()
    reader = connect(make_client("app-1", NAME), login, audience=(f"https://{'long-' * 12}host.example/",))
    page.goto(f"{live_server.url}/account/devices/")
    section = page.get_by_role("region", name="Connected apps")
    for part in (section, *section.locator("li, h3, p, button").all()):
        box = part.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width, part
    section.get_by_role("button", name="Disconnect").click()
    page.get_by_text(f"{NAME} has been disconnected.").wait_for()
    assert page.get_by_role("region", name="Connected apps").count() == 0
    assert [reason_of(one) for one in (login, reader)] == ["", "ended_by_user"]
    context.close()
