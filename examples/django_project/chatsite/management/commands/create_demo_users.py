"""``manage.py create_demo_users``: ada, who is in the group "staff", and bob, who is in none."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand

PASSWORD = "demo-password"


class Command(BaseCommand):  # type: ignore[misc]  # Django ships no types
    help = "Creates the two users of this demonstration."

    def handle(self, *args: Any, **options: Any) -> None:
        ada, bob = (self._user(name) for name in ("ada", "bob"))
        ada.groups.add(Group.objects.get_or_create(name="staff")[0])
        self.stdout.write(f"{ada} may use every model, {bob} tiny-chat; the password of both is {PASSWORD!r}.")

    def _user(self, name: str) -> User:
        user, _ = User.objects.get_or_create(username=name)
        user.set_password(PASSWORD)
        user.save()
        return user
