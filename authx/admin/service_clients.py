"""Services in the admin: create, renew the secret, disable. A secret is shown once, and never stored."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from authx.admin.recent import ask_again
from authx.admin.unframed import UnframedAdmin
from authx.errors import StoreUnavailable
from authx.http.caching import never_cache
from authx.issuer.clients import create_service, disable_service, renew_secret
from authx.models import ServiceClient

_SHOWN = ("name", "client_id", "created_at", "disabled_at")


class ServiceForm(forms.Form):
    """The name that staff give the service."""

    name = forms.CharField(label=_("Name"), max_length=100)


@admin.register(ServiceClient)
class ServiceClientAdmin(UnframedAdmin):
    """Who may introspect tokens, revoke them and read the revocation feed."""

    list_display = ["name", "client_id", "created_at", "is_active"]
    search_fields = ["name", "client_id"]
    fields = _SHOWN
    readonly_fields = _SHOWN
    actions = None

    @admin.display(description=_("active"), boolean=True)
    def is_active(self, service: ServiceClient) -> bool:
        return service.disabled_at is None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: disabled services stay, because the audit trail names them."""
        return False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allow none: a hash could be guessed from the answers, letter by letter."""
        return False

    def get_urls(self) -> list[Any]:
        renew, disable = map(self.admin_site.admin_view, (self.renew_page, self.disable_page))
        return [
            path("<int:pk>/renew/", renew, name="authx_serviceclient_renew"),
            path("<int:pk>/disable/", disable, name="authx_serviceclient_disable"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for the name, then show the credentials: only this once, so without a redirect."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST" and (refusal := ask_again(self, request)):
            return refusal
        form = ServiceForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                service, secret = create_service(form.cleaned_data["name"])
            except (ValueError, StoreUnavailable) as error:
                form.add_error(None, str(error))
            else:
                self._log(request, service, ADDITION, _("Created."))
                return self._shown(request, service, secret)
        return self._page(request, "ask.html", {"form": form, "title": _("Add a service")})

    @method_decorator(sensitive_variables())
    def renew_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for confirmation, then show a new secret; the old one is refused at once."""
        service = self._find(request, pk)
        if request.method != "POST":
            title = _("Renew the secret")
            return self._page(request, "ask.html", {"service": service, "verb": "renew", "title": title})
        if refusal := ask_again(self, request):
            return refusal
        secret = renew_secret(service)
        self._log(request, service, CHANGE, _("Secret renewed."))
        return self._shown(request, service, secret)

    def disable_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for confirmation, then refuse the service from now on."""
        service = self._find(request, pk)
        if request.method != "POST":
            context = {"service": service, "verb": "disable", "title": _("Disable")}
            return self._page(request, "ask.html", context)
        if refusal := ask_again(self, request):
            return refusal
        disable_service(service)
        self._log(request, service, CHANGE, _("Disabled."))
        self.message_user(request, _("%s is refused from now on.") % service, messages.SUCCESS)
        return self._list_page()

    def _list_page(self) -> HttpResponse:
        name = "admin:authx_serviceclient_changelist"
        return HttpResponseRedirect(reverse(name, current_app=self.admin_site.name))

    def _find(self, request: HttpRequest, pk: int) -> ServiceClient:
        if not self.has_change_permission(request):
            raise PermissionDenied
        service: ServiceClient | None = self.get_queryset(request).filter(pk=pk).first()
        if service is None:
            raise Http404
        return service

    @sensitive_variables()
    def _shown(self, request: HttpRequest, service: ServiceClient, secret: str) -> HttpResponse:
        context = {"service": service, "secret": secret, "title": _("Credentials of %s") % service}
        return self._page(request, "secret.html", context)

    def _page(self, request: HttpRequest, template: str, extra: dict[str, Any]) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, **extra}
        response = TemplateResponse(request, f"admin/authx/serviceclient/{template}", context)
        never_cache(response)
        return response

    def _log(self, request: HttpRequest, service: ServiceClient, flag: int, message: Any) -> None:
        LogEntry.objects.log_actions(str(request.user.pk), [service], flag, str(message))
