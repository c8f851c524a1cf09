"""The admin of rows that are only shown: nobody may add, edit or delete them there."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from authx.admin.unframed import UnframedAdmin


class ReadOnlyAdmin(UnframedAdmin):
    """Nobody adds, edits or deletes; whoever may view a row sees the list."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)
