"""The suites: what each needs, and how it is run."""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Without pytest-randomly and xdist: both runs are to be the same but for authx.
PYTEST = ("pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "-o", "django_find_project=false")

#: Those of logins and users, and of what they touch: sessions, cookies, the admin, the test client.
DJANGO_TESTS = (
    *("auth_tests", "admin_views", "csrf_tests", "messages_tests", "middleware", "sessions_tests"),
    *("test_client", "test_client_regress", "view_tests"),
)


@dataclass(frozen=True)
class Suite:
    name: str
    #: Its name on the package index.
    package: str
    #: What pip installs beside it.
    needs: tuple[str, ...]
    #: Within the sources: where its tests are, which a source distribution may lack.
    tests: str
    #: The module to run, then its arguments.
    command: tuple[str, ...]
    extras: str = ""
    #: Within the sources: where it is run, and which folders are on the path then.
    folder: str = "."
    path: tuple[str, ...] = (".",)


DJANGO = Suite(
    name="django",
    package="Django",
    needs=("argon2-cffi", "bcrypt", "jinja2"),
    tests="tests/auth_tests",
    command=("runtests", *DJANGO_TESTS, "--settings=test_sqlite", "--parallel=1", "--verbosity=1"),
    folder="tests",
    path=("tests",),
)

ALLAUTH = Suite(
    name="allauth",
    package="django-allauth",
    extras="[headless,headless-spec,idp-oidc,mfa,openid,socialaccount,steam]",
    needs=(
        "pytest>=8.3.5,<9",
        "pytest-asyncio==1.3.0",
        "pytest-django>=4.11,<4.13",
        "Pillow>=9",
        "django-ninja>=1.3,<2",
        "djangorestframework>=3.16",
        "psycopg[binary]>=3.2",
    ),
    tests="tests/projects/regular",
    command=(*PYTEST, "--ds=tests.projects.regular.settings", "tests"),
)

#: The same tests on a site whose LoginRequiredMiddleware asks for the user before any view does.
ALLAUTH_LOGIN_REQUIRED = replace(
    ALLAUTH,
    name="allauth-login-required",
    tests="tests/projects/login_required_mw",
    command=(*PYTEST, "--ds=tests.projects.login_required_mw.settings", "tests"),
)

DJOSER = Suite(
    name="djoser",
    package="djoser",
    extras="[webauthn]",
    needs=(
        "pytest>=8",
        "pytest-django>=4.11",
        "pytest-env>=1.1.3",
        "pytest-mock>=3.14",
        "babel>=2.12",
        "deepdiff>=8",
        "factory-boy>=3.3",
    ),
    tests="testproject",
    command=(*PYTEST, "--ds=settings", "testproject"),
    path=("testproject", "."),
)

DJ_REST_AUTH = Suite(
    name="dj-rest-auth",
    package="dj-rest-auth",
    needs=(
        "pytest>=8",
        "pytest-django>=4.11",
        "django-allauth[socialaccount]~=65.14.1",
        "djangorestframework-simplejwt~=5.5.1",
        "pyotp~=2.9.0",
        "responses",
    ),
    tests="dj_rest_auth/tests",
    # It has no configuration of pytest: this one keeps it from finding ours, above it.
    command=(*PYTEST, "-c", "setup.cfg", "--ds=dj_rest_auth.tests.settings", "dj_rest_auth/tests"),
    path=("dj_rest_auth", "."),
)

DRF = Suite(
    name="drf",
    package="djangorestframework",
    needs=("pytest>=9", "pytest-django>=4.11", "dj-database-url>=3.1", "requests"),
    tests="tests/authentication",
    command=(*PYTEST, "tests/authentication", "tests/test_permissions.py", "tests/test_testing.py"),
)

SUITES = {suite.name: suite for suite in (DJANGO, ALLAUTH, ALLAUTH_LOGIN_REQUIRED, DJOSER, DJ_REST_AUTH, DRF)}
