"""Make the pictures of the documentation again, from the demo and the code: ``python -m tools.pictures``.

Needs Chromium and what the extra ``test`` brings. The demo runs on a port and a database of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tools import state_machine

ROOT: Final = Path(__file__).resolve().parents[1]
IMAGES: Final = ROOT / "docs/images"
#: What is made.
NAMES: Final = ("devices.png", "kick.png", "login.png", state_machine.NAME, "sequences.svg")
PLAIN: Final[ViewportSize] = {"width": 1000, "height": 640}
#: Who is signed in, by user agent; the first one is looked at.
AGENTS: Final = {
    "home": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.1 Safari/605.1.15",
    "phone": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.1 Mobile/15E148 Safari/604.1",
    "tablet": "Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.1 Mobile/15E148 Safari/604.1",
    "work": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/142.0.0.0 Safari/537.36",
}
STYLE: Final = """<style>
text { font: 18px/1 system-ui, sans-serif; fill: #1a1d26 }
.title, .demo-name { font-weight: 600 }
.demo-actor { fill: #eceffc; stroke: #c7cdf3 }
.demo-life { stroke: #b9c0cc; stroke-dasharray: 4 4 }
.demo-arrow { fill: none; stroke: #3448c5; stroke-width: 1.5 }
.demo-point { fill: #3448c5 }
.paper { fill: #fff }
</style>"""


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@contextmanager
def demo() -> Iterator[str]:
    """Serve the demo, and yield its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"DEMO_DATABASE": f"{folder}/demo.sqlite3"}
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        command = [sys.executable, "manage.py", "demo", "--port", str(port)]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            for _ in range(300):
                try:
                    urlopen(address).close()
                    break
                except (URLError, ConnectionError):
                    time.sleep(0.1)
            else:
                raise SystemExit("the demo does not answer")
            yield address
        finally:
            server.terminate()
            server.wait()


def signed_in(browser: Browser, address: str, user: str, **options: Any) -> Page:
    context = browser.new_context(viewport=PLAIN, device_scale_factor=1.5, locale="en-US", **options)
    page = context.new_page()
    page.goto(f"{address}/account/login/?next=/account/devices/")
    page.fill("[name=username]", user)
    page.fill("[name=password]", f"{user}-demo")
    page.click("[type=submit]")
    page.wait_for_url("**/account/devices/")
    return page


def photograph(browser: Browser, address: str, into: Path) -> None:
    """Take the devices, the session in the admin that is to be kicked, and what its browser then says."""
    pages = {name: signed_in(browser, address, "ada", user_agent=agent) for name, agent in AGENTS.items()}
    pages["home"].reload()
    for _ in range(2):  # one new sign-in stays in question
        pages["home"].click("button[value=yes] >> nth=0")
    pages["home"].set_viewport_size({"width": 1000, "height": 1100})
    pages["home"].reload()
    pages["home"].screenshot(path=into / "devices.png")
    admin = signed_in(browser, address, "admin")
    admin.set_viewport_size({"width": 1280, "height": 820})
    admin.goto(f"{address}/admin/authx/devicesession/?q=ada")
    admin.click("#result_list tbody tr:has-text('iPhone') th a")
    admin.screenshot(path=into / "kick.png")
    admin.click("text=Kick out >> nth=0")
    admin.fill("[name=reason]", "Lost phone")
    admin.click("[type=submit] >> nth=-1")
    pages["phone"].goto(f"{address}/account/devices/")
    pages["phone"].screenshot(path=into / "login.png")


def draw(into: Path) -> None:
    """Draw the three sequences of the README into one picture."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_project.settings")
    import django

    django.setup()
    from demo_project.sequences import draw as sequence

    app, site, browser, staff = "App", "Your site", "Browser", "Staff"
    parts = [
        (
            "An app calls the API",
            sequence(
                "",
                [app, site],
                [
                    (app, site, "password, once"),
                    (site, app, "access + refresh"),
                    (app, site, "access token"),
                    (app, site, "refresh token"),
                    (site, app, "the next pair"),
                ],
            ),
        ),
        (
            "A page renews silently",
            sequence(
                "",
                [browser, site],
                [
                    (browser, site, "an expired cookie"),
                    (site, browser, "page, new cookies"),
                    (browser, site, "a late second tab"),
                    (site, browser, "page, signed in"),
                ],
            ),
        ),
        (
            "A kick",
            sequence(
                "",
                [staff, site, app],
                [
                    (staff, site, "kick out"),
                    (app, site, "access token"),
                    (site, app, "401: kicked"),
                ],
            ),
        ),
    ]
    left, pictures = 0, []
    heights: list[int] = []
    for title, svg in parts:
        _, _, width, height = svg.partition('viewBox="')[2].partition('"')[0].split()
        inner = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
        label = f'<text class="title" x="{left + int(width) // 2}" y="20" text-anchor="middle">{title}</text>'
        pictures.append(f'{label}<g transform="translate({left} 32)">{inner}</g>')
        left += int(width) + 24
        heights.append(int(height) + 40)
    wide, high = left - 24, max(heights)
    said = "Who says what: a call with a token, a page that renews silently, a kick"
    (into / "sequences.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img"'
        f' aria-label="{said}">'
        f'{STYLE}<rect class="paper" width="{wide}" height="{high}" rx="12"/>{"".join(pictures)}</svg>\n'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of the documentation again.")
    parser.add_argument("--into", type=Path, default=IMAGES, help="the folder; default: docs/images")
    into: Path = parser.parse_args().into
    into.mkdir(parents=True, exist_ok=True)
    draw(into)
    state_machine.draw(into)
    chromium = shutil.which("chromium")
    with demo() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            photograph(browser, address, into)
        finally:
            browser.close()


if __name__ == "__main__":
    main()
