"""authx.contrib.spectacular: what the schema of a site says of it and of us."""

import json

import pytest
from django.urls import include, path, re_path
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.versioning import NamespaceVersioning

from authx.api.urls import urlpatterns
from authx.api.views.login import Login
from authx.api.views.sessions import Sessions
from authx.contrib.spectacular import views
from authx.sessions import open_session
from tests.openapi import urls
from tests.openapi.schemas import HOOKS, operations, ours, schema_of

#: What is posted without a body.
BODILESS = {"end-others", "session-confirm", "session-disown", "socket-ticket"}
BOTH = [{"authxToken": []}, {"authxCookie": []}]


@pytest.fixture(scope="module")
def site():
    return schema_of(POSTPROCESSING_HOOKS=HOOKS)


@pytest.mark.parametrize(("version", "split"), [("3.0.3", False), ("3.1.0", True)])
def test_the_site_has_a_valid_schema_and_nothing_to_complain_of(version, split):
    schema_of(validate=True, OAS_VERSION=version, COMPONENT_SPLIT_REQUEST=split, POSTPROCESSING_HOOKS=HOOKS)


def test_the_sites_own_views_say_that_they_take_our_credentials(site):
    group = site["paths"]["/own/groups/"]
    assert group["get"]["security"] == BOTH
    assert group["post"]["security"] == [{"authxToken": []}, {"authxCookie": [], "authxCsrf": []}]
    schemes = site["components"]["securitySchemes"]
    assert schemes["authxToken"]["scheme"] == "bearer"
    assert (schemes["authxCookie"]["in"], schemes["authxCookie"]["name"]) == ("cookie", "__Host-authx_access")
    assert schemes["authxCsrf"]["name"].lower() == "x-csrftoken"


def test_classes_derived_from_ours_are_the_same_schemes(site):
    assert site["paths"]["/own/mixed/"]["post"]["security"] == [
        {"authxToken": []},
        {"authxCookie": [], "authxCsrf": []},
        {"cookieAuth": []},
    ]


def test_a_public_view_may_be_asked_without(site):
    assert site["paths"]["/own/public/"]["get"]["security"] == [*BOTH, {}]


@pytest.mark.parametrize(
    ("view", "scopes"),
    [
        ("one", [["notes:read"]]),
        ("both", [["notes:read", "notes:write"]]),
        ("and", [["notes:read", "notes:write"]]),
        ("or", [["notes:read"], ["notes:write"]]),
        ("staff", [["notes:write"]]),
        ("nobody", []),
        ("derived", [["notes:read"]]),
    ],
)
def test_a_view_for_clients_says_which_scopes_let_them_in(view, scopes, site):
    found = site["paths"][f"/own/notes/{view}/"]["get"].get("security", [])
    assert found == [{"authxOAuth": each} for each in scopes]


def test_a_view_for_both_says_so(site):
    assert site["paths"]["/own/notes/first/"]["get"]["security"] == [
        {"authxToken": []},
        {"authxOAuth": ["notes:read"]},
    ]


def test_clients_are_told_where_to_get_tokens(site):
    flow = site["components"]["securitySchemes"]["authxOAuth"]["flows"]["authorizationCode"]
    assert flow["authorizationUrl"] == "https://testserver/oauth/authorize/"
    assert flow["scopes"] == {"notes:read": "Read your notes", "notes:write": "Write them"}


def test_a_site_that_issues_no_tokens_to_clients_names_who_does(settings):
    settings.ROOT_URLCONF = "tests.urls"  # without authx.oauth.urls
    found = schema_of(urls.own)
    assert "https://testserver" in found["components"]["securitySchemes"]["authxOAuth"]["description"]
    assert found["paths"]["/own/notes/or/"]["get"]["security"] == [{"authxOAuth": []}]
    assert "security" not in found["paths"]["/own/notes/nobody/"]["get"]


def test_other_names_of_cookies_and_headers_are_told(settings):
    settings.AUTHX_ACCESS_COOKIE = "access"
    settings.CSRF_HEADER_NAME = "HTTP_X_XSRF_TOKEN"
    schemes = schema_of(urls.own)["components"]["securitySchemes"]
    assert (schemes["authxCookie"]["name"], schemes["authxCsrf"]["name"]) == ("access", "X-XSRF-TOKEN")


def routes():
    """Each route of ours with each of its methods, as the views have them."""
    for pattern in urlpatterns:
        for method in pattern.callback.cls(**pattern.callback.initkwargs).allowed_methods:
            if method not in {"HEAD", "OPTIONS"} and pattern.name != "connected-app-session":
                yield pytest.param(pattern, method.lower(), id=f"{method} {pattern.name}")


@pytest.mark.parametrize(("pattern", "method"), list(routes()))
def test_every_route_is_told(pattern, method, site):
    where = "/api/auth/" + "".join(
        f"{{{part.partition(':')[2].rstrip('>')}}}" if ":" in part else part
        for part in _parts(str(pattern.pattern))
    )
    operation = site["paths"][where.replace("{pk}", "{id}")][method]  # as drf-spectacular calls it
    codes = set(operation["responses"])
    assert codes & {"200", "204"}
    assert {"400", "503"} <= codes
    assert "Retry-After" in operation["responses"]["503"]["headers"]
    assert "{" not in where or any(each["in"] == "path" for each in operation["parameters"])
    assert operation["description"].endswith((".", ")"))
    assert "``" not in operation["description"]
    has_body = method in {"post", "patch"} and pattern.name not in BODILESS
    assert ("requestBody" in operation) is has_body
    if "401" in codes:
        assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
    if "429" in codes:
        assert "Retry-After" in operation["responses"]["429"]["headers"]


def _parts(route):
    out, text = [], route
    while text:
        head, found, rest = text.partition("<")
        out.append(head)
        if not found:
            break
        inner, _, text = rest.partition(">")
        out.append(f"<{inner}>")
    return out


def test_a_route_for_logins_says_so(site):
    assert site["paths"]["/api/auth/sessions/"]["get"]["security"] == BOTH
    assert site["paths"]["/api/auth/login/"]["post"]["security"] == [{}, {"authxCsrf": []}]
    assert site["paths"]["/api/auth/introspect/"]["post"]["security"] == [{"authxClient": []}, {}]


def test_what_the_site_calls_its_own_keeps_its_names():
    alone, beside = schema_of(urls.own), schema_of([*urls.own, *ours()])
    theirs = alone["components"]["schemas"]
    assert {"Session", "ReasonEnum", "CodeEnum", "TransportEnum", "StatusEnum"} <= set(theirs)
    both = beside["components"]["schemas"]
    assert {name: both[name] for name in theirs} == theirs
    assert all(name in theirs or name.removeprefix("Patched").startswith("Authx") for name in both)
    for where in alone["paths"]:
        for method, operation in alone["paths"][where].items():
            assert beside["paths"][where][method].get("security") == operation.get("security")
            assert beside["paths"][where][method]["responses"] == operation["responses"]


class ToldOtherwise(Sessions):
    """A site's own list."""

    @extend_schema(description="Ours, and told by the site.", responses={418: None})
    def get(self, request):
        return super().get(request)


class Overridden(Login):
    """It lets in as ours does, and says goodbye."""

    @extend_schema(responses={418: None})
    def delete(self, request):
        return Response(status=418)


@extend_schema(tags=["people"], responses={418: None})
class Wholly(Sessions):
    """Described as a whole."""


class AsItIs(Sessions):
    """Nothing is changed."""


def test_what_a_site_derives_from_our_views_is_told_as_the_site_says():
    kinds = {"told": ToldOtherwise, "more": Overridden, "whole": Wholly, "same": AsItIs}
    paths = schema_of([path(f"{name}/", kind.as_view()) for name, kind in kinds.items()])["paths"]
    assert paths["/told/"]["get"]["description"] == "Ours, and told by the site."
    assert set(paths["/told/"]["get"]["responses"]) == {"418"}
    assert set(paths["/more/"]) == {"get", "post", "delete"}
    assert "409" in paths["/more/"]["post"]["responses"]
    assert set(paths["/more/"]["delete"]["responses"]) == {"418"}
    assert paths["/whole/"]["get"]["tags"] == ["people"]
    assert set(paths["/whole/"]["get"]["responses"]) == {"418"}
    assert "200" in paths["/same/"]["get"]["responses"]


@pytest.mark.parametrize(
    "patterns",
    [
        pytest.param([path("<slug:tenant>/auth/", include("authx.api.urls"))], id="tenant"),
        pytest.param([re_path(r"^(?P<tenant>[a-z]+)/auth/", include("authx.api.urls"))], id="regex"),
        pytest.param([re_path(r"^api/v1\.0/", include("authx.api.urls"))], id="dots"),
        pytest.param(
            [
                path("v1/", include(("authx.api.urls", "v1"), namespace="v1")),
                path("v2/", include(("authx.api.urls", "v2"), namespace="v2")),
            ],
            id="twice",
        ),
        pytest.param([path("", include("authx.api.urls"))], id="root"),
    ],
)
def test_wherever_a_site_mounts_them(patterns):
    found = schema_of(patterns)
    assert len(operations(found)) % (len(operations(schema_of(ours())))) == 0
    ids = [operation["operationId"] for operation in operations(found).values()]
    assert len(set(ids)) == len(ids)


def test_a_site_with_versions(settings, monkeypatch):
    monkeypatch.setattr(api_settings, "DEFAULT_VERSIONING_CLASS", NamespaceVersioning, raising=False)
    assert "/api/auth/login/" in schema_of(ours())["paths"]


@pytest.mark.parametrize("hooks", [HOOKS, HOOKS[::-1]], ids=["after enums", "before enums"])
def test_the_routes_of_oauth_are_told_where_a_site_wants_them(hooks):
    found = schema_of(POSTPROCESSING_HOOKS=hooks)
    token = found["paths"]["/oauth/token/"]["post"]
    assert set(token["requestBody"]["content"]) == {"application/x-www-form-urlencoded"}
    assert {"200", "400", "401", "503"} == set(token["responses"])
    assert {"/.well-known/jwks.json", "/.well-known/oauth-authorization-server"} <= set(found["paths"])
    assert {"AuthxGrantType", "AuthxTokenAnswer", "AuthxError"} <= set(found["components"]["schemas"])
    assert "authxClient" in found["components"]["securitySchemes"]


def test_the_hook_adds_nothing_that_is_not_there(settings):
    settings.ROOT_URLCONF = "tests.openapi.outside"
    assert set(schema_of(POSTPROCESSING_HOOKS=HOOKS)["paths"]) == {"/own/public/"}
    assert set(schema_of(urls.own[2:4], POSTPROCESSING_HOOKS=HOOKS)["paths"]) == {
        "/own/mixed/",
        "/own/public/",
    }


def test_below_a_prefix_of_the_server_paths_are_the_same(site):
    from django.urls import set_script_prefix

    set_script_prefix("/below/")
    try:
        assert set(schema_of(POSTPROCESSING_HOOKS=HOOKS)["paths"]) == set(site["paths"])
    finally:
        set_script_prefix("/")


def test_a_schema_for_one_visitor_has_what_they_may_call(api, ada, admin):
    def paths(**headers):
        answer = api.get("/schema/mine/", headers={"Accept": "application/json", **headers})
        return set(answer.json()["paths"])

    users = paths(Authorization=f"Bearer {open_session(ada).access_token}")
    assert "/api/auth/sessions/" in users
    assert "/api/auth/staff/sessions/" not in users
    assert "/api/auth/staff/sessions/" in paths(Authorization=f"Bearer {open_session(admin).access_token}")


class OwnSchema(AutoSchema):
    """A site's own, which has tags by its own rule."""

    def get_tags(self):
        return ["all"]


def test_a_schema_class_of_the_sites_own_goes_on_for_ours(monkeypatch):
    views._schema_class.cache_clear()
    monkeypatch.setattr(api_settings, "DEFAULT_SCHEMA_CLASS", OwnSchema, raising=False)
    try:
        found = operations(schema_of(ours()))
    finally:
        views._schema_class.cache_clear()
    assert {tag for operation in found.values() for tag in operation["tags"]} == {"all"}
    assert "409" in found["/api/auth/login/", "post"]["responses"]


def test_a_scheme_of_the_sites_own_stands_before_ours(monkeypatch):
    known = list(OpenApiAuthenticationExtension._registry)
    monkeypatch.setattr(OpenApiAuthenticationExtension, "_registry", known)

    class OwnScheme(OpenApiAuthenticationExtension):
        target_class = "tests.openapi.views.OwnBearer"
        name = "shop"

        def get_security_definition(self, auto_schema):
            return {"type": "http", "scheme": "bearer"}

    found = schema_of(urls.own)
    assert {"shop": []} in found["paths"]["/own/mixed/"]["post"]["security"]
    assert found["paths"]["/own/groups/"]["get"]["security"] == BOTH


def test_no_schema_is_there_for_nothing(site):
    for found in (site, schema_of(ours())):
        text = json.dumps(found)
        names = [name for name in found["components"]["schemas"] if name.startswith("Authx")]
        assert names
        assert [name for name in names if f'"#/components/schemas/{name}"' not in text] == []
