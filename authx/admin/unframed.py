"""Our pages of the admin in frames: none, whatever middleware a site has left out."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from authx.http.framing import unframed


class UnframedAdmin(admin.ModelAdmin):
    """Every page of it refuses frames by itself."""

    @property
    def urls(self) -> list[Any]:
        found = self.get_urls()
        for url in found:
            url.callback = unframed(url.callback)
        return found
