"""Sites of other kinds, each in a process of its own: the demo, one without drf-spectacular, a service."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.documented import documented

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "docs" / "openapi.yaml"


def run(*arguments, **environment):
    ours = ("DJANGO_SETTINGS_MODULE", "DEMO_PORT")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    command = [sys.executable, "-W", "ignore", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_schema_in_the_documentation_is_the_demos(tmp_path):
    """Made by ``python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml``."""
    written = tmp_path / "openapi.yaml"
    options = ["--validate", "--fail-on-warn", "--file", written]
    run("manage.py", "spectacular", *options, DEMO_DATABASE=str(tmp_path / "demo.sqlite3"))
    assert written.read_text() == SCHEMA.read_text()


def test_a_site_without_drf_spectacular_never_imports_it():
    run(
        "-c",
        dedent("""
            import sys
            import django
            django.setup()
            import tests.urls
            assert not [name for name in sys.modules if name.startswith("drf_spectacular")]
            assert "authx.contrib.spectacular" not in sys.modules
        """),
        DJANGO_SETTINGS_MODULE="tests.settings.base",
    )


def test_a_site_switches_it_on_as_the_page_says(tmp_path):
    """On the settings of a plain site, with drf-spectacular's command."""
    place = tmp_path / "shop"
    place.mkdir()
    settings = documented("openapi.md", "python", "INSTALLED_APPS +=")
    urls = documented("openapi.md", "python", "SpectacularAPIView")
    (place / "__init__.py").write_text("")
    (place / "settings.py").write_text(
        f"from tests.settings.base import *\n{settings}\nROOT_URLCONF = 'shop.urls'\n"
    )
    ours = 'from django.urls import include\nurlpatterns = [path("api/auth/", include("authx.api.urls"))]\n'
    (place / "urls.py").write_text(f"from django.urls import path\n{ours}{urls}")
    environment = {"DJANGO_SETTINGS_MODULE": "shop.settings", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    written = tmp_path / "openapi.yaml"
    run("-m", "django", "spectacular", "--validate", "--fail-on-warn", "--file", written, **environment)
    assert "/api/auth/login/" in written.read_text()


SERVICE = """
    import importlib, json, sys, types
    from django.conf import settings
    urls = types.ModuleType("service_urls")
    sys.modules["service_urls"] = urls
    settings.configure(
        SECRET_KEY="of this service alone",
        ROOT_URLCONF="service_urls",
        INSTALLED_APPS=json.loads(sys.argv[1]),
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["authx.api.authentication.BearerAuthentication"],
            "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
            "UNAUTHENTICATED_USER": None,
        },
        AUTHX_REVOCATION_STORE="remote",
        AUTHX_ISSUER="https://issuer.example",
        AUTHX_AUDIENCE="https://service.example",
        AUTHX_JWKS_URL="https://issuer.example/.well-known/jwks.json",
    )
    import django
    django.setup()
    if sys.argv[2]:
        importlib.import_module(sys.argv[2])
    from django.urls import path
    from drf_spectacular.utils import extend_schema
    from rest_framework.views import APIView
    from authx.api.authentication import DelegatedAuthentication
    from authx.api.permissions import HasScope
    class Own(APIView):
        @extend_schema(responses=None)
        def get(self, request): ...
    class ForClients(Own):
        authentication_classes = [DelegatedAuthentication]
        permission_classes = [HasScope("orders:read")]
    urls.urlpatterns = [path("own/", Own.as_view()), path("clients/", ForClients.as_view())]
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator
    found = SchemaGenerator().get_schema(public=True)
    assert not GENERATOR_STATS, [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]
    assert {"authxToken": []} in found["paths"]["/own/"]["get"]["security"]
    assert {"authxOAuth": []} in found["paths"]["/clients/"]["get"]["security"]
    assert "https://issuer.example" in found["components"]["securitySchemes"]["authxOAuth"]["description"]
    assert "authx.models" not in sys.modules
"""


@pytest.mark.parametrize(
    ("apps", "imported"),
    [
        (["authx.contrib.verifier", "drf_spectacular"], ""),
        (["drf_spectacular"], "authx.contrib.spectacular"),
        (["drf_spectacular", "authx.contrib.spectacular"], ""),
    ],
    ids=["found by itself", "imported", "installed"],
)
def test_a_service_that_only_verifies(apps, imported):
    run("-c", dedent(SERVICE), json.dumps(apps), imported)
