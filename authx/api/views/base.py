"""The base classes of the API's views."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import SuspiciousOperation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.parsers import FormParser, JSONParser
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from authx import metrics
from authx.api import exception_handler
from authx.api.authentication import BearerAuthentication, CookieAuthentication
from authx.api.exceptions import ContentTooLarge, challenge
from authx.errors import StoreUnavailable
from authx.http.bodies import is_too_large, leave_uploads_unread
from authx.http.charset import REFUSAL, names_no_charset
from authx.http.error_reports import keep_secrets
from authx.http.language import name_language, negotiated
from authx.store.database import is_outage


class OnlyJSON(BaseContentNegotiation):
    """Answers are JSON or empty, whatever a client claims to accept (RFC 9110 §12.5.1)."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return DefaultContentNegotiation().select_parser(request, parsers)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class BoundedJSONParser(JSONParser):
    """JSON; nesting that is too deep for Python is a parse error."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().parse(*args, **kwargs)
        except RecursionError as error:
            raise ParseError(_("JSON parse error: nested too deeply")) from error


class AuthxAPIView(APIView):
    """A view that reads its credentials itself: the body, a header or a cookie."""

    authentication_classes: Any = []
    permission_classes: Any = [AllowAny]
    throttle_classes: Any = []
    parser_classes: Any = [BoundedJSONParser, FormParser]
    renderer_classes: Any = [JSONRenderer]
    content_negotiation_class: Any = OnlyJSON
    #: A site's default scheme is about its own routes.
    versioning_class: Any = None
    #: What the view's own route captures. Other arguments come from the path at which a site mounts ours.
    path_arguments: ClassVar[tuple[str, ...]] = ()

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the handler with what the view's own route captures, wherever it is mounted."""
        with negotiated(request) as language:
            response = super().dispatch(request, **{name: kwargs[name] for name in self.path_arguments})
        name_language(response, language)
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        keep_secrets(request._request)
        leave_uploads_unread(request._request)
        if names_no_charset(request._request):
            raise ParseError(REFUSAL)
        self.check_size(request)
        super().initial(request, *args, **kwargs)

    def check_size(self, request: Request) -> None:
        """Refuse a body larger than Django would read as a form, before any of it is read as JSON.

        Raises:
            ContentTooLarge: it is larger than that.
        """
        if is_too_large(request._request):
            raise ContentTooLarge

    def get_exception_handler(self) -> Any:
        return exception_handler

    def handle_exception(self, exc: Exception) -> Response:
        """Answer 503 for an unreachable database, also where Django's own code queried it."""
        if is_outage(exc):
            metrics.STORE_FAILURES.count(store="database")
            exc = StoreUnavailable("the database cannot be asked")
        elif isinstance(exc, UnicodeError):  # a form whose charset cannot decode it
            exc = ParseError(_("The request cannot be decoded."))
        elif isinstance(exc, SuspiciousOperation):  # Django's own limits, such as too many fields
            exc = ParseError(_("The request cannot be read."))
        return super().handle_exception(exc)

    def get_authenticate_header(self, request: Request) -> str:
        return challenge(request)

    def finalize_response(self, *args: Any, **kwargs: Any) -> Response:
        """Keep tokens and lists of sessions out of every cache (RFC 6749 §5.1)."""
        response = super().finalize_response(*args, **kwargs)
        if "no-store" not in response.get("Cache-Control", ""):
            response["Cache-Control"] = "no-store"
        patch_vary_headers(response, ["Authorization", "Cookie"])
        return response

    def body(self) -> dict[str, Any]:
        """Return the request's body if it is an object, else ``{}``."""
        try:
            data = self.request.data
        except UnsupportedMediaType:  # views that need no body ignore such a one
            return {}
        return data if isinstance(data, dict) else {}


class SessionAPIView(AuthxAPIView):
    """A view for signed-in users, by access token or cookie."""

    authentication_classes: Any = [BearerAuthentication, CookieAuthentication]
    permission_classes: Any = [IsAuthenticated]
    #: Such a view is about the session: its whole row is read with the check.
    reads_session: ClassVar[bool] = True
