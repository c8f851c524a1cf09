"""What staff do with a client once it is registered: renew its secret, disable it, enable it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from authx.admin.recent import ask_again
from authx.admin.unframed import UnframedAdmin
from authx.core.oauth_client import CLIENT_SECRET
from authx.http.caching import never_cache
from authx.http.direction import isolated
from authx.issuer.clients import disable_client, enable_client, renew_secret
from authx.models import DeviceSession, ServiceClient
from authx.store import database

_VERBS = ("renew", "disable", "enable")


class ClientActs(UnframedAdmin):
    """Pages that ask for confirmation, and what they do."""

    def get_urls(self) -> list[Any]:
        return [
            *(
                path(
                    f"<int:pk>/{verb}/",
                    self.admin_site.admin_view(getattr(self, f"{verb}_page")),
                    name=f"authx_serviceclient_{verb}",
                )
                for verb in _VERBS
            ),
            *super().get_urls(),
        ]

    @method_decorator(sensitive_variables())
    def renew_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for confirmation, then show a new secret; the old one is refused at once."""
        client = self._find(request, pk)
        if client.auth_method != CLIENT_SECRET:
            raise Http404
        if refusal := self._asked(request, client, "renew", _("Renew the secret")):
            return refusal
        secret = renew_secret(client)
        self._log(request, client, CHANGE, _("Secret renewed."))
        return self._shown(request, client, secret)

    def disable_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for confirmation, then refuse the client from now on, and end its sessions."""
        client = self._find(request, pk)
        if refusal := self._asked(request, client, "disable", _("Disable")):
            return refusal
        disable_client(client, request.user, request=request)
        self._log(request, client, CHANGE, _("Disabled."))
        self.message_user(request, _("%s is refused from now on.") % isolated(client), messages.SUCCESS)
        return self._list_page()

    def enable_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for confirmation, then let the client in again, with what it proved itself by before."""
        client = self._find(request, pk)
        if refusal := self._asked(request, client, "enable", _("Enable")):
            return refusal
        enable_client(client)
        self._log(request, client, CHANGE, _("Enabled."))
        self.message_user(request, _("%s is let in again.") % isolated(client), messages.SUCCESS)
        return self._list_page()

    def _list_page(self) -> HttpResponse:
        name = "admin:authx_serviceclient_changelist"
        return HttpResponseRedirect(reverse(name, current_app=self.admin_site.name))

    def _find(self, request: HttpRequest, pk: int) -> ServiceClient:
        if not self.has_change_permission(request):
            raise PermissionDenied
        client: ServiceClient | None = self.get_queryset(request).filter(pk=pk).first()
        if client is None:
            raise Http404
        return client

    def _asked(
        self, request: HttpRequest, client: ServiceClient, verb: str, title: Any
    ) -> HttpResponse | None:
        """Return the page that asks for confirmation; None once that has been given."""
        if request.method == "POST":
            return ask_again(self, request)
        context = {"client": client, "verb": verb, "title": title, "live": self._live_sessions(client)}
        return self._page(request, "ask.html", context)

    def _live_sessions(self, client: ServiceClient) -> int:
        sessions = DeviceSession.objects.using(database.alias()).filter(client_id=client.client_id)
        return int(sessions.live(database.database_now()).count())

    @sensitive_variables()
    def _shown(self, request: HttpRequest, client: ServiceClient, secret: str) -> HttpResponse:
        context = {"client": client, "secret": secret, "title": _("Credentials of %s") % isolated(client)}
        return self._page(request, "secret.html", context)

    def _page(self, request: HttpRequest, template: str, extra: dict[str, Any]) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, **extra}
        response = TemplateResponse(request, f"admin/authx/serviceclient/{template}", context)
        never_cache(response)
        return response

    def _log(self, request: HttpRequest, client: ServiceClient, flag: int, message: Any) -> None:
        LogEntry.objects.log_actions(str(request.user.pk), [client], flag, str(message))
