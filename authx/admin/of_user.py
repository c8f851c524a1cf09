"""A user's own page in the admin leads to their sessions, whichever ModelAdmin the site has for its users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from authx.admin.overview.charts import grouped
from authx.admin.searching import MAX_COUNTED
from authx.models import DeviceSession

#: The attribute of a ModelAdmin that shows the links already.
_MARK: Final = "_authx_links"


def link_users(sessions: Any) -> None:
    """Show the links on the pages of users in the site of ``sessions``, once all its models are registered.

    They are one more field that is only shown, in a part of its own: every theme has a place for that, and a
    form sent without it is still whole. Only the site's objects change, none of its classes.
    """
    concrete = get_user_model()._meta.concrete_model
    for model, users in sessions.admin_site._registry.items():
        if model._meta.concrete_model is concrete and not hasattr(users, _MARK):
            _extend(users, sessions)


def _extend(users: Any, sessions: Any) -> None:
    fieldsets, readonly_fields, links = users.get_fieldsets, users.get_readonly_fields, _links(sessions)

    def is_shown(request: HttpRequest, user: Any) -> bool:
        return user is not None and user.pk is not None and sessions.has_view_permission(request)

    def get_fieldsets(request: HttpRequest, obj: Any = None) -> Any:
        found = fieldsets(request, obj)
        if not is_shown(request, obj):
            return found
        # Where a ModelAdmin names no fields, Django has them be all that are only shown too.
        others = [
            (title, {**options, "fields": [name for name in options["fields"] if name is not links]})
            for title, options in found
        ]
        return [*others, (_("Device sessions"), {"fields": [links]})]

    def get_readonly_fields(request: HttpRequest, obj: Any = None) -> Any:
        found = readonly_fields(request, obj)
        return [*found, links] if is_shown(request, obj) else found

    users.get_fieldsets, users.get_readonly_fields = get_fieldsets, get_readonly_fields
    setattr(users, _MARK, links)


def _links(sessions: Any) -> Callable[[Any], Any]:
    """Return the field: links from a user's page, each with the number of sessions that it leads to."""

    def url(**query: Any) -> str:
        path = reverse(f"{sessions.admin_site.name}:authx_devicesession_changelist")
        return f"{path}?{urlencode(query)}"

    @admin.display(description=_("Device sessions"))
    def device_sessions(user: Any) -> Any:
        """Return the links. Two statements."""
        of_user = DeviceSession.objects.order_by().filter(user=user.pk)
        live, total = of_user.live().count(), of_user.values("pk")[: MAX_COUNTED + 1].count()
        if not total:
            return gettext("No device session is known.")
        text = ngettext("%(number)s live session", "%(number)s live sessions", live)
        found = [(url(user=user.pk, status="live"), text % {"number": grouped(live)})]
        if total > MAX_COUNTED:
            text = gettext("more than %(number)s sessions in all")
        else:
            text = ngettext("%(number)s session in all", "%(number)s sessions in all", total)
        found.append((url(user=user.pk), text % {"number": grouped(min(total, MAX_COUNTED))}))
        return format_html_join(" · ", '<a href="{}">{}</a>', found)

    return device_sessions
