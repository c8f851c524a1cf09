"""How members sign in: by their number and what is printed on their card."""

from tests.members.models import Member


class ByCard:
    """A backend with no base class."""

    def authenticate(self, request, username=None, password=None):
        """Compare the card."""
        found = Member.objects.filter(name=username) if str(username).isdecimal() else Member.objects.none()
        return found.filter(card=password).first()

    def get_user(self, user_id):
        """Find the member."""
        return Member.objects.filter(pk=user_id).first()
