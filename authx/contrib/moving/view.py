"""What the exchanges at old paths share: the device in the body, the limits, and how a site mounts them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db.transaction import non_atomic_requests
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.exceptions import AuthenticationFailed, ParseError, Throttled
from rest_framework.parsers import BaseParser, FormParser
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api.exceptions import Refused
from authx.api.serializers import BodySerializer, DeviceSerializer
from authx.api.tokens import token_body
from authx.api.views.base import AuthxAPIView, BoundedJSONParser
from authx.conf import conf
from authx.contrib.moving.once import OldCredential, may_be_token, move
from authx.core.rates import Rate
from authx.errors import RefreshMalformed
from authx.http.client_address import client_network, is_behind_unknown_proxy
from authx.http.renewal import never_renew
from authx.sessions import Credentials, Device
from authx.store import database
from authx.store.counters import count


class DeviceBody(BodySerializer):
    """The part of an exchange's body that is the same for all of them."""

    device = DeviceSerializer(required=False)


class FieldsParser(BaseParser):
    """The fields of a multipart form, which clients of the old packages may send; its files are left out."""

    media_type = "multipart/form-data"

    @sensitive_variables()
    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        meta = {**parser_context["request"].META, "CONTENT_TYPE": media_type}
        encoding = parser_context.get("encoding", settings.DEFAULT_CHARSET)
        try:
            return MultiPartParser(meta, stream, [], encoding).parse()[0]
        except MultiPartParserError as error:
            raise ParseError(_("The form cannot be read.")) from error


class OwnVerdict:
    """A mixin for views that commit what they decide even where the request fails, wherever they stand.

    A schema of the site leaves them out: no client is to be written for an old path.
    """

    schema: Any = None
    parser_classes: Any = [BoundedJSONParser, FormParser, FieldsParser]

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view, outside ATOMIC_REQUESTS and left alone by the middleware."""
        return never_renew(non_atomic_requests(super().as_view(**initkwargs)))  # type: ignore[misc]


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Exchange(OwnVerdict, AuthxAPIView):
    """``POST``: an old credential, and what ``login/`` takes as ``device``; the answer is that of ``login/``.

    The credential is in ``token``, or in the header as the old package reads it.
    """

    #: The class by which the old package reads it.
    authentication_class: Any = None

    #: Exchange again, however late, while no token of the session has come back: its answer was lost.
    answers_until_used = False

    def old_credential(self, request: Request, device: Device) -> OldCredential:
        """Return the genuine credential that the request presents.

        Raises:
            RefreshMalformed: it is none of the old package's.
            SessionEnded: it was one.
        """
        raise NotImplementedError

    def presented(self, request: Request) -> str:
        """Return the text of the credential.

        Raises:
            Refused: there is none.
            RefreshMalformed: it is no text that can be one.
        """
        text = self.body().get("token")
        keyword = self.authentication_class().authenticate_header(request)
        scheme, _, in_header = request._request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if text is None and scheme.lower() == keyword.lower():
            text = in_header.strip(" ")
        if text is None:
            raise Refused("not_authenticated")
        if not may_be_token(text):
            raise RefreshMalformed("it is no token of anybody's")
        return text

    def user_and_token(self, credential: Any) -> tuple[Any, Any]:
        """Return what ``authentication_class`` finds by a credential.

        Raises:
            RefreshMalformed: there is no such token, or its user may not use it.
            StoreUnavailable: the database cannot be read.
        """
        try:
            with database.store_errors():
                found: tuple[Any, Any] = self.authentication_class().authenticate_credentials(credential)
        except AuthenticationFailed as error:
            raise RefreshMalformed("the old package does not take it") from error
        return found

    def limit(self, old: OldCredential) -> tuple[str, Rate | None]:
        """Return by what exchanges of one credential are counted, and how many are allowed."""
        return old.mark, conf.REFRESH_RATE

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        return Response(token_body(self.exchanged(request), with_refresh=True))

    @sensitive_variables()
    def exchanged(self, request: Request) -> Credentials:
        device = device_in(self.body())
        with within_address_rate(request):
            old = self.old_credential(request, device)
        demand_within(*self.limit(old))
        return move(old, request, device, until_used=self.answers_until_used)


def device_in(body: dict[str, Any]) -> Device:
    """Return the device that a body describes.

    Raises:
        ValidationError: it is none.
    """
    given = {name: body[name] for name in ("device",) if name in body}
    serializer = DeviceBody(data=given)
    serializer.is_valid(raise_exception=True)
    return Device(**serializer.validated_data.get("device", {}))


@contextmanager
def within_address_rate(request: Request) -> Iterator[None]:
    """Count what the block refuses as never issued, by AUTHX_ADDRESS_RATE; an old one is nobody's guess.

    Raises:
        Throttled: there were too many from this address.
    """
    here = request._request
    network = "" if is_behind_unknown_proxy(here) else client_network(here)
    counted = count("moving-address", network, conf.ADDRESS_RATE if network else None)
    if counted.wait:
        raise Throttled(counted.wait)
    try:
        yield
    except RefreshMalformed:
        raise
    except BaseException:
        counted.give_back()
        raise
    counted.give_back()


def demand_within(subject: str, rate: Rate | None) -> None:
    """Count an exchange of one credential.

    Raises:
        Throttled: there were too many.
    """
    if wait := count("moving", subject, rate).wait:
        raise Throttled(wait)
