"""What a site sends that lets others show its pages in frames."""

from django.conf import settings


def may_be_framed(get_response):
    def middleware(request):
        response = get_response(request)
        if settings.FRAMED_BY:
            response["Content-Security-Policy"] = f"frame-ancestors {settings.FRAMED_BY}"
        return response

    return middleware
