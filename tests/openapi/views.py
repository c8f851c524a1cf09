"""Views of the site's own, as sites have them."""

from django.contrib.auth.models import Group
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.authentication import SessionAuthentication
from rest_framework.decorators import api_view
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.api.authentication import (
    BearerAuthentication,
    CookieAuthentication,
    DelegatedAuthentication,
)
from authx.api.permissions import HasRole, HasScope, IsFirstParty


class SessionSerializer(serializers.Serializer):
    """The site calls something of its own a session, with fields of the names that ours have."""

    reason = serializers.ChoiceField(["illness", "holiday"])
    code = serializers.ChoiceField(["a", "b"])
    transport = serializers.ChoiceField(["bus", "train"])
    status = serializers.ChoiceField(["open", "shut"])


class GroupSerializer(serializers.ModelSerializer):
    class Meta:
        model = Group
        fields = ["id", "name"]


class Groups(viewsets.ModelViewSet):
    queryset = Group.objects.all()
    serializer_class = GroupSerializer


@extend_schema(request=SessionSerializer, responses=SessionSerializer)
@api_view(["GET", "POST"])
def course(request):
    return Response(status=204)


class OwnBearer(BearerAuthentication):
    """What a site derives from ours is the same scheme to a client."""


class OwnCookie(CookieAuthentication):
    pass


class Mixed(APIView):
    authentication_classes = [OwnBearer, OwnCookie, SessionAuthentication]

    @extend_schema(request=None, responses=None)
    def post(self, request):
        return Response(status=204)


class Public(APIView):
    permission_classes = [AllowAny]

    @extend_schema(responses=None)
    def get(self, request):
        return Response(status=204)


def notes(*permissions, authentication=(DelegatedAuthentication,)):
    """A view for clients, with these permissions."""

    class Notes(APIView):
        authentication_classes = list(authentication)
        permission_classes = list(permissions)

        @extend_schema(responses=None)
        def get(self, request):
            return Response(status=204)

    return Notes


NOTES = {
    "one": notes(HasScope("notes:read")),
    "both": notes(HasScope("notes:read"), HasScope("notes:write")),
    "and": notes(HasScope("notes:read") & HasScope("notes:write", "notes:read")),
    "or": notes(HasScope("notes:read") | HasScope("notes:write")),
    "first": notes(IsFirstParty | HasScope("notes:read"), authentication=[
        BearerAuthentication,
        DelegatedAuthentication("https://testserver/notes/"),
    ]),
    "staff": notes(IsAuthenticated, HasRole("staff") | HasScope("notes:write")),
    "nobody": notes(HasRole("staff")),
    "derived": notes(HasScope("notes:read"), authentication=[DelegatedAuthentication.for_resource("https://testserver/notes/")]),
}  # fmt: skip
