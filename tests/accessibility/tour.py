"""One page of a real browser, in which visits are made: who is signed in, where to go, what to fill in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client
from django.test.signals import template_rendered
from django.urls import NoReverseMatch, resolve, reverse

from authx.conf import conf
from authx.models import DeviceSession
from authx.sessions import recognize
from tests.accessibility.world import AGENTS, World
from tests.conftest import PASSWORD

#: Milliseconds that anything in the browser may take.
DEADLINE = 30_000
#: A header by which staff act as somebody else, as with the packages for that.
ACTING = "X-Acting-As"


class ActingAs:
    """Middleware: the request is made as the user whom its header names, in the login of another."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        if name := request.headers.get(ACTING):
            request.user = get_user_model()._default_manager.get_by_natural_key(name)
        return self.get_response(request)


class Tour:
    """A browser profile with one page, in one language."""

    def __init__(self, chromium: Any, origin: str, world: World, *, language: str, **options: Any) -> None:
        self.origin, self.world, self.language = origin, world, language
        options = {"viewport": {"width": 1280, "height": 800}, "user_agent": AGENTS["laptop"], **options}
        self.context = chromium.new_context(base_url=origin, locale=language, **options)
        self.context.set_default_timeout(DEADLINE)
        self.page = self.context.new_page()

    def close(self) -> None:
        self.context.close()

    def find(self, path: str) -> Any:
        """What ``World`` has at the end of a path of attributes."""
        return attrgetter(path)(self.world)

    def open(self, where: str) -> None:
        """Open the page with this path, or of this URL pattern."""
        with suppress(NoReverseMatch):
            where = reverse(where)
        self.page.goto(where)

    def fill(self, **typed: str) -> None:
        for name, text in typed.items():
            self.page.locator(f"[name={name}]").fill(text)

    def send(self) -> None:
        """Press the button of the form in the middle of the page, and wait for the answer."""
        self.press(self.page.locator("form").first.locator("button, [type=submit]").first)

    def press(self, button: Any) -> None:
        """Press a button that leads to another page, and wait for that."""
        with self.page.expect_navigation():
            button.click()

    def sign_in(self, who: Any) -> None:
        """Sign in at the login page, as somebody or as whom ``World`` calls so."""
        user = self.find(who) if isinstance(who, str) else who
        self.open("authx:login")
        self.fill(username=user.get_username(), password=PASSWORD)
        self.send()

    def enter(self, user: Any) -> None:
        """Be signed in without a password, as from another login page."""
        client = Client(headers={"User-Agent": self.page.evaluate("navigator.userAgent")})
        client.force_login(user)
        client.get("/whoami/")
        cookies = [{"name": each.key, "value": each.value} for each in client.cookies.values()]
        of_site = {"url": self.origin.replace("http:", "https:"), "secure": True}
        self.context.add_cookies([each | of_site for each in cookies])

    def session(self) -> DeviceSession:
        """The device session of this browser."""
        kept = {cookie["name"]: cookie["value"] for cookie in self.context.cookies()}
        return recognize(kept[conf.ACCESS_COOKIE])

    @contextmanager
    def acting_as(self, user: Any) -> Iterator[None]:
        self.context.set_extra_http_headers({ACTING: user.get_username()})
        yield
        self.context.set_extra_http_headers({})

    @property
    def pattern(self) -> str:
        """The name of the URL pattern that the page was found at."""
        return resolve(self.page.evaluate("location.pathname")).view_name

    def paint(self, scheme: str) -> None:
        """Show the page light or dark, at once where colors would change slowly."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.evaluate(
            "document.body.offsetWidth; document.getAnimations().forEach((each) => each.finish())"
        )

    def widen(self, width: int, *, zoom: int = 1) -> None:
        """Give the window this width, in CSS pixels of so many of the screen's."""
        with_scale = {"width": width, "height": 720, "deviceScaleFactor": zoom, "mobile": False}
        session = self.context.new_cdp_session(self.page)
        session.send("Emulation.setDeviceMetricsOverride", with_scale)


@contextmanager
def rendered() -> Iterator[list[str]]:
    """The names of the templates that are rendered meanwhile."""
    names: list[str] = []

    def note(sender: Any, template: Any, **kwargs: Any) -> None:
        names.append(template.name)

    template_rendered.connect(note)
    try:
        yield names
    finally:
        template_rendered.disconnect(note)
