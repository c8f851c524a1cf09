"""Clients in the admin: register, change, disable. A secret is shown once, and never stored."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import AdminForm
from django.contrib.admin.models import ADDITION, CHANGE
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from authx.admin.client_acts import ClientActs
from authx.admin.client_filters import KindFilter, StateFilter, kind_of
from authx.admin.client_form import FIELDSETS, ClientForm
from authx.admin.recent import ask_again
from authx.core.oauth_client import CLIENT_SECRET
from authx.errors import StoreUnavailable
from authx.http.direction import isolated
from authx.issuer.clients import (
    create_client,
    update_client,
)
from authx.models import ServiceClient

#: What whoever may only look sees of one.
_SHOWN = (
    *("name", "client_id", "created_at", "disabled_at", "auth_method", "redirect_uris", "scope", "resources"),
    *("trusted", "audience", "may_manage_sessions", "may_call", "jwks_uri", "grant_types", "origins"),
    *("idle_lifetime", "session_lifetime"),
)


@admin.register(ServiceClient)
class ServiceClientAdmin(ClientActs):
    """Apps that users sign in to, and services that ask about tokens or call each other."""

    list_display = ["called", "kind", "aimed_at", "known_as", "is_active"]
    list_filter = [KindFilter, StateFilter]
    search_fields = ["name", "client_id", "audience"]
    fields = _SHOWN
    readonly_fields = _SHOWN
    actions = None

    @admin.display(description=_("name"), ordering="name")
    def called(self, client: ServiceClient) -> str:
        return format_html("<bdi>{}</bdi>", client.name)

    @admin.display(description=_("audience"), ordering="audience")
    def aimed_at(self, client: ServiceClient) -> str:
        return format_html('<bdi dir="ltr">{}</bdi>', client.audience) if client.audience else ""

    @admin.display(description=_("client id"), ordering="client_id")
    def known_as(self, client: ServiceClient) -> str:
        return format_html('<bdi dir="ltr">{}</bdi>', client.client_id)

    @admin.display(description=_("active"), boolean=True)
    def is_active(self, client: ServiceClient) -> bool:
        return client.disabled_at is None

    @admin.display(description=_("kind"))
    def kind(self, client: ServiceClient) -> str:
        return str(kind_of(client))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: disabled clients stay, because the audit trail names them."""
        return False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allow those of our filters: a hash could be guessed from the answers, letter by letter."""
        return lookup in {KindFilter.parameter_name, StateFilter.parameter_name}

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask what to register, then show the credentials: only this once, so without a redirect."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST" and (refusal := ask_again(self, request)):
            return refusal
        form = ClientForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                client, secret = create_client(form.cleaned_data["name"], **form.registration())
            except (ValueError, StoreUnavailable) as error:
                form.add_problems(error)
            else:
                self._log(request, client, ADDITION, _("Created."))
                return self._added(request, client, secret)
        return self._form_page(request, form, {"title": _("Add a client")})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show and change what a client is registered for; whoever may only look sees it as text."""
        client = self.get_object(request, unquote(object_id))
        if client is None or not self.has_change_permission(request, client):
            return super().change_view(request, object_id, form_url, extra_context)
        if request.method == "POST" and (refusal := ask_again(self, request)):
            return refusal
        form = ClientForm(request.POST if request.method == "POST" else None, client=client)
        if request.method == "POST" and form.is_valid():
            try:
                changed = update_client(client, name=form.cleaned_data["name"], **form.registration())
            except (ValueError, StoreUnavailable) as error:
                form.add_problems(error)
            else:
                return self._changed(request, changed, form.changed_data)
        context = {"client": client, "original": client, "title": client.name, "kind": kind_of(client)}
        return self._form_page(request, form, context | {"live": self._live_sessions(client)})

    def _added(self, request: HttpRequest, client: ServiceClient, secret: str | None) -> HttpResponse:
        if secret is not None:
            return self._shown(request, client, secret)
        text = _("%(name)s has been added. Its client id is %(id)s.") % {
            "name": isolated(client),
            "id": isolated(client.client_id),
        }
        self.message_user(request, text, messages.SUCCESS)
        return self._list_page()

    def _changed(self, request: HttpRequest, client: ServiceClient, fields: list[str]) -> HttpResponse:
        if fields:
            self._log(request, client, CHANGE, _("Changed: %s.") % ", ".join(fields))
        self.message_user(request, _("%s has been changed.") % isolated(client), messages.SUCCESS)
        if client.auth_method == CLIENT_SECRET and not client.secret_hash:
            self.message_user(request, _("It has no secret yet: renew it to get one."), messages.WARNING)
            return HttpResponseRedirect(request.get_full_path())
        return self._list_page()

    def _form_page(self, request: HttpRequest, form: ClientForm, extra: dict[str, Any]) -> HttpResponse:
        shown: Any = AdminForm(form, FIELDSETS, {}, model_admin=self)  # type: ignore[arg-type] # no model's form
        return self._page(request, "form.html", {"adminform": shown, "form": form, **extra})
