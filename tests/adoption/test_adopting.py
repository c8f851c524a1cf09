"""A site as ``startproject`` makes it, one with its own login page, and a headless allauth site adopt authx.

Each is made anew in a folder, edited as the documentation says, migrated, checked, and used by a program.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.documented import documented

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
pytestmark = pytest.mark.slow


def environment():
    """Return this process's environment without what a test run puts there; our packages are found."""
    ours = ("PYTEST_", "COV_CORE_", "COVERAGE_", "AUTHX_", "DJANGO_SETTINGS_MODULE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONPATH": str(ROOT)}


class Project:
    """A Django project in a folder of its own, used by its own ``manage.py``."""

    def __init__(self, folder):
        self.folder = folder
        self.run("-m", "django", "startproject", "mysite", ".")
        self.settings, self.urls = folder / "mysite/settings.py", folder / "mysite/urls.py"

    def run(self, *words, expected=0):
        command = [sys.executable, *words]
        found = subprocess.run(command, cwd=self.folder, env=environment(), capture_output=True, text=True)
        assert found.returncode == expected, f"{words}\n{found.stdout}\n{found.stderr}"
        return found.stdout + found.stderr

    def manage(self, *words, **options):
        return self.run("manage.py", *words, **options)

    def add(self, file, text):
        with file.open("a") as end:
            end.write("\n" + text)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))

    def sign_in_before(self):
        """Migrate and sign somebody in, as it was before authx was there; returns the key of that session."""
        self.manage("migrate", "-v", "0")
        self.write("before.py", BEFORE)
        return (
            self.manage("shell", "-v", "0", "-c", "exec(open('before.py').read())").strip().splitlines()[-1]
        )

    def use(self, program):
        """Migrate, check and run a program in the project, which fails if anything is not as it says."""
        self.manage("migrate", "-v", "0")
        assert "no issues" in self.manage("check", "--fail-level", "WARNING")
        self.write("use.py", TOOLS + dedent(program))
        self.manage("shell", "-v", "0", "-c", "exec(open('use.py').read(), {'__name__': 'use'})")


BEFORE = """
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client

    settings.ALLOWED_HOSTS = ["*"]
    User.objects.create_superuser("admin", password="admin-password")
    User.objects.create_user("ada", password="ada-password")
    before = Client()
    before.force_login(User.objects.get(username="ada"))
    print(before.cookies["sessionid"].value)
"""
TOOLS = '''
import json
from django.conf import settings
from django.test import Client

from authx.models import DeviceSession

settings.ALLOWED_HOSTS = ["*"]
JSON = "application/json"


def kick_everybody_of(user):
    """Kick them out by the admin, as staff do."""
    admin = Client()
    assert admin.login(username="admin", password="admin-password")
    chosen = [str(row.pk) for row in DeviceSession.objects.live().filter(user__username=user)]
    sent = {"action": "kick", "index": "0", "_selected_action": chosen, "post": "yes"}
    answer = admin.post("/admin/authx/devicesession/", sent)
    assert answer.status_code == 302, answer.content
    return len(chosen)
'''


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def merged(text, block):
    """The settings with a block of the README: its lists, ``...`` standing for what is there already."""
    for name in re.findall(r"^(\w+) = \[", block, re.MULTILINE):
        block = re.sub(rf"^{name} = \[\.\.\., (.*)\]$", rf"{name} += [\1]", block, flags=re.MULTILINE)
    middleware = re.search(r"^MIDDLEWARE = \[\n(.*?)^\]\n", block, re.MULTILINE | re.DOTALL)
    before, ours = re.findall(r'"([\w.]+)"', middleware[1])
    block = block.replace(middleware[0], "")
    assert f'    "{before}",\n' in text.replace("'", '"')
    text = text.replace(f"    '{before}',\n", f"    '{before}',\n    '{ours}',\n")
    return f"{text}\n{block}"


def readme_block(holding):
    (found,) = [
        block for block in re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S) if holding in block
    ]
    return found


def test_a_site_as_startproject_makes_it(project):
    old = project.sign_in_before()
    project.settings.write_text(
        merged(project.settings.read_text(), readme_block('LOGIN_URL = "authx:login"'))
    )
    urls = readme_block('path("account/", include("authx.pages.urls"))')
    project.add(project.urls, urls.replace("urlpatterns = [", "urlpatterns += ["))
    project.use(
        f"""
        page = Client()
        page.cookies["sessionid"] = {old!r}
        devices = page.get("/account/devices/")
        assert devices.status_code == 200  # adopted: nobody is signed out

        laptop = Client()
        answer = laptop.post("/account/login/", {{"username": "ada", "password": "ada-password"}})
        assert (answer.status_code, answer["Location"]) == (302, "/account/devices/"), answer
        body = {{"username": "ada", "password": "ada-password", "device": {{"type": "ios", "name": "Phone"}}}}
        phone = Client().post("/api/auth/login/", body, JSON).json()
        bearer = {{"Authorization": "Bearer " + phone["access_token"]}}
        listed = Client().get("/api/auth/sessions/", headers=bearer).json()
        assert len(listed) == 3 and listed[0]["device"], listed
        assert kick_everybody_of("ada") == 3
        refused = Client().get("/api/auth/sessions/", headers=bearer)
        assert (refused.status_code, refused.json()["reason"]) == (401, "kicked")
        for browser in (page, laptop):
            assert browser.get("/account/devices/").status_code == 302
        assert b"You were signed out by an administrator." in laptop.get("/account/login/").content
        """
    )


def test_a_site_with_a_login_page_of_its_own(project):
    """Which keeps it, and closes ours, as docs/installation.md says."""
    old = project.sign_in_before()
    block = readme_block('LOGIN_URL = "authx:login"').replace(
        'LOGIN_URL = "authx:login"', 'LOGIN_URL = "login"'
    )
    page = (ROOT / "docs/installation.md").read_text()
    assert "AUTHX_PASSWORD_LOGIN = False" in page
    assert "{% load authx %}{% ended_message %}" in page
    text = merged(project.settings.read_text(), block).replace(
        "'DIRS': []", "'DIRS': [BASE_DIR / 'templates']"
    )
    project.settings.write_text(text + '\nAUTHX_PASSWORD_LOGIN = False\nLOGIN_REDIRECT_URL = "/"\n')
    urls = readme_block('path("account/", include("authx.pages.urls"))')
    home = """
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse

urlpatterns += [
    path("", login_required(lambda request: HttpResponse(str(request.user)))),
    path("own/", include("django.contrib.auth.urls")),
]
"""
    project.add(project.urls, urls.replace("urlpatterns = [", "urlpatterns += [") + home)
    form = "<form method=post>{% csrf_token %}{{ form }}<button>Sign in</button></form>"
    project.write("templates/registration/login.html", "{% load authx %}{% ended_message %}" + form)
    project.use(
        f"""
        page = Client()
        page.cookies["sessionid"] = {old!r}
        assert page.get("/").content == b"ada"
        laptop = Client()
        assert laptop.get("/")["Location"] == "/own/login/?next=/"
        laptop.post("/own/login/", {{"username": "ada", "password": "ada-password"}})
        assert laptop.get("/").content == b"ada"
        assert Client().get("/account/login/")["Location"].startswith("/own/login/")
        assert Client().post("/api/auth/login/", {{"username": "ada"}}, JSON).status_code == 404
        assert len(laptop.get("/api/auth/sessions/").json()) == 2
        assert kick_everybody_of("ada") == 2
        assert laptop.get("/")["Location"] == "/own/login/?next=/"
        assert b"You were signed out by an administrator." in laptop.get("/own/login/").content
        """
    )


ALLAUTH_SETTINGS = """
INSTALLED_APPS += ["allauth", "allauth.account"]
MIDDLEWARE += ["allauth.account.middleware.AccountMiddleware"]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
ACCOUNT_EMAIL_VERIFICATION = "none"
"""
ALLAUTH_URLS = """
from django.urls import include, path

urlpatterns += [path("accounts/", include("allauth.urls"))]
"""


@pytest.fixture
def with_allauth(project):
    """A site that signs people in by allauth already."""
    pytest.importorskip("allauth", reason="django-allauth is not installed")
    project.add(project.settings, ALLAUTH_SETTINGS)
    project.add(project.urls, ALLAUTH_URLS)
    return project


def test_an_allauth_site_of_pages(with_allauth):
    project = with_allauth
    old = project.sign_in_before()
    project.add(project.settings, documented("allauth.md", "python", '"rest_framework", "authx"]'))
    project.add(project.urls, documented("allauth.md", "python", "authx.pages.urls"))
    project.use(
        f"""
        page = Client()
        page.cookies["sessionid"] = {old!r}
        assert page.get("/account/devices/").status_code == 200
        login = {{"login": "ada", "password": "ada-password"}}
        laptop = Client()
        assert laptop.post("/accounts/login/", login).status_code == 302
        assert len(laptop.get("/api/auth/sessions/").json()) == 2
        login["username"] = login.pop("login")
        assert Client().post("/api/auth/login/", login, JSON).status_code == 404
        assert kick_everybody_of("ada") == 2
        assert laptop.get("/account/devices/")["Location"] == "/accounts/login/?next=/account/devices/"
        assert page.get("/api/auth/sessions/").json()["reason"] == "kicked"
        """
    )


def test_a_headless_allauth_site(with_allauth):
    project = with_allauth
    old = project.sign_in_before()
    for holding in ('"rest_framework", "authx"]', "XSessionTokenAuthentication"):
        project.add(project.settings, documented("allauth.md", "python", holding))
    own_api = """
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView


class Own(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response(str(request.user))


urlpatterns += [path("own-api/", Own.as_view())]
"""
    for holding in ("authx.pages.urls", "allauth.headless.urls"):
        project.add(project.urls, documented("allauth.md", "python", holding))
    project.add(project.urls, own_api)
    project.write("templates/account/login.html", documented("allauth.md", "html"))
    text = project.settings.read_text()
    project.settings.write_text(text.replace("'DIRS': []", "'DIRS': [BASE_DIR / 'templates']"))
    project.use(
        f"""
        page = Client()
        page.cookies["sessionid"] = {old!r}
        assert page.get("/account/devices/").status_code == 200
        login = {{"username": "ada", "password": "ada-password"}}

        browser = Client()
        assert browser.post("/_allauth/browser/v1/auth/login", login, JSON).status_code == 200
        assert browser.get("/own-api/").json() == "ada"
        app = Client().post("/_allauth/app/v1/auth/login", login, JSON).json()
        held = {{"X-Session-Token": app["meta"]["session_token"]}}
        assert Client().get("/own-api/", headers=held).json() == "ada"
        assert Client().get("/_allauth/app/v1/auth/session", headers=held).status_code == 200
        assert len(browser.get("/api/auth/sessions/").json()) == 3
        assert Client().post("/api/auth/login/", login, JSON).status_code == 404
        assert kick_everybody_of("ada") == 3
        told = Client().get("/own-api/", headers=held)
        assert (told.status_code, told.json()["reason"]) == (401, "kicked"), told.content
        assert Client().get("/_allauth/app/v1/auth/session", headers=held).status_code in (401, 410)
        assert browser.get("/own-api/").status_code == 401
        assert b"You were signed out by an administrator." in browser.get("/accounts/login/").content
        """
    )
