"""Our views, and those that a site derives from them, with what ``routes`` says of them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.settings import api_settings

from authx.contrib.spectacular import components, schemes
from authx.contrib.spectacular.components import header

if TYPE_CHECKING:
    from authx.contrib.spectacular.routes import Route

_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"

_MODULE: Final = "authx.api.views."

_HEADERS: Final = [
    header("Retry-After", "Seconds.", 429, 503),
    header("WWW-Authenticate", "The challenge; it names the error where a credential was refused.", 401),
]


class AuthxViews(OpenApiViewExtension):
    """Every view of ``authx.api.urls``."""

    target_class = "authx.api.views.base.AuthxAPIView"
    match_subclasses = True
    priority = -1  # a site may describe its own subclass

    def view_replacement(self) -> Any:
        """Return a subclass that describes itself; what the site describes or overrides stays the site's."""
        from authx.contrib.spectacular.routes import HIDDEN, ROUTES  # late: it needs the models

        lineage = self.target.__mro__
        ours = next(number for number, kind in enumerate(lineage) if kind.__module__.startswith(_MODULE))
        known = lineage[ours]
        if any("schema" in vars(kind) for kind in lineage[:ours]):
            return self.target
        routes = {
            method: route
            for method, route in ROUTES.get(known.__name__, {}).items()
            if getattr(self.target, method.lower(), None) is getattr(known, method.lower())
        }
        schema = _schema_class()(routes, is_excluded=known.__name__ in HIDDEN)
        return type(self.target.__name__, (self.target,), {"schema": schema, "__doc__": self.target.__doc__})


@cache
def _schema_class() -> Any:
    """Return a class that describes our routes, and other methods as the site's own class does."""
    own = api_settings.DEFAULT_SCHEMA_CLASS
    base: Any = own if isinstance(own, type) and issubclass(own, AutoSchema) else AutoSchema
    return type("RouteSchema", (_RouteSchema, base), {})


class _RouteSchema(AutoSchema):
    """Describes one of our views."""

    def __init__(self, routes: dict[str, Route], *, is_excluded: bool) -> None:
        super().__init__()
        self._routes, self._is_excluded = routes, is_excluded

    def is_excluded(self) -> bool:
        return self._is_excluded or super().is_excluded()

    @property
    def route(self) -> Route | None:
        """Return what is known of this method; None where it is the site's own."""
        return self._routes.get(self.method)

    def get_operation(self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any) -> Any:
        components.register(registry)
        return super().get_operation(path, path_regex, path_prefix, method, registry)

    def get_description(self) -> str:  # type: ignore[override] # as drf-spectacular has it
        return self.route.text if self.route else super().get_description()

    def get_request_serializer(self) -> Any:
        """Return the body in one form: JSON, or for services what OAuth has. We read both."""
        if self.route is None:
            return super().get_request_serializer()
        media_type = _FORM if self._is_for_services() else _JSON
        return self.route.request and {media_type: self.route.request}

    def get_response_serializers(self) -> Any:
        if self.route is None:
            return super().get_response_serializers()
        return dict(sorted({**self._errors(), **self.route.answers}.items()))

    def get_override_parameters(self) -> Any:
        if self.route is None:
            return super().get_override_parameters()
        return [*_HEADERS, *self.route.parameters]

    def get_auth(self) -> Any:
        if self.route is None or self.route.security is None:
            return super().get_auth()
        schemes.register(self, *(name for names in self.route.security for name in names))
        return [{name: [] for name in names} for names in self.route.security]

    def _is_for_services(self) -> bool:
        from authx.api.views.service_view import ServiceAPIView

        return isinstance(self.view, ServiceAPIView)

    def _errors(self) -> dict[int, Any]:
        """Return the errors of all routes of the kind."""
        from authx.api.views.base import SessionAPIView

        if self._is_for_services():
            return {**components.OF_SERVICES, **components.ALWAYS}
        too_large = {} if self.method in {"GET", "DELETE"} else components.TOO_LARGE
        of_kind = components.OF_SESSIONS if isinstance(self.view, SessionAPIView) else components.OF_DOORS
        return {**of_kind, **too_large, **components.ALWAYS}
