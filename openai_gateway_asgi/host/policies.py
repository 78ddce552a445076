"""Ready-made answers to ``authorize_model``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config.model_ids import Pattern, is_pattern
from ..errors import ConfigError
from ..models import Model
from .users import User


def everyone(user: User, model: Model) -> bool:
    """Every user the host knows may use every model."""
    return True


def admins_only(user: User, model: Model) -> bool:
    """Only users with ``role == "admin"`` may use models."""
    return user.is_admin


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who may use a model: its owner, the named users, members of the named groups, or everyone."""

    owner: str | None = None
    users: Iterable[str] = frozenset()
    groups: Iterable[str] = frozenset()
    public: bool = False

    def __post_init__(self) -> None:
        for name in ("users", "groups"):
            given: Any = getattr(self, name)
            if isinstance(given, str) or not isinstance(given, Iterable):
                raise ConfigError(
                    f"Grant.{name}", f"must be a collection of ids, not one string; write {name}={{'...'}}"
                )
            object.__setattr__(self, name, frozenset(getattr(self, name)))

    def allows(self, user: User) -> bool:
        return (
            self.public
            or user.id == self.owner
            or user.id in frozenset(self.users)
            or not frozenset(self.groups).isdisjoint(user.groups)
        )


class Grants:
    """Grants by model id: ``Grants({"gpt-4o": Grant(public=True), "team-*": Grant(groups={"staff"})})``.

    An exact id decides alone; otherwise the first pattern that matches, in the order written; a model that no line
    names is nobody's. ``admins=True`` lets users with ``role == "admin"`` use everything. Raises ``ConfigError``.
    """

    def __init__(self, grants: Mapping[str, Grant], *, admins: bool = True) -> None:
        _check(grants)
        self._exact = {id: grant for id, grant in grants.items() if not is_pattern(id)}
        self._wild = tuple([(Pattern(id), grant) for id, grant in grants.items() if is_pattern(id)])
        self._admins = admins
        self._public = frozenset(id for id, grant in self._exact.items() if grant.public)
        self._of_user: dict[str, set[str]] = {}
        self._of_group: dict[str, set[str]] = {}
        for id, grant in self._exact.items():
            for user in {*grant.users, *([] if grant.owner is None else [grant.owner])}:
                self._of_user.setdefault(user, set()).add(id)
            for group in grant.groups:
                self._of_group.setdefault(group, set()).add(id)

    def __call__(self, user: User, model: Model) -> bool:
        if self._admins and user.is_admin:
            return True
        grant = self._exact.get(model.id) or self._first_match(model.id)
        return grant is not None and grant.allows(user)

    def visible_to(self, user: User, models: Sequence[Model]) -> Sequence[Model]:
        """Those of ``models`` that the user may use, in their order. It answers for a whole list at once."""
        if self._admins and user.is_admin:
            return models
        granted = self._public.union(
            self._of_user.get(user.id, ()), *(self._of_group.get(group, ()) for group in user.groups)
        )
        if not self._wild:
            return [model for model in models if model.id in granted]
        return [model for model in models if model.id in granted or (model.id not in self._exact and self(user, model))]

    def _first_match(self, id: str) -> Grant | None:
        return next((grant for pattern, grant in self._wild if pattern.matches(id)), None)


def _check(grants: Any) -> None:
    if not isinstance(grants, Mapping):
        raise ConfigError("Grants", "must map ids of models to grants; write Grants({'gpt-4o': Grant(public=True)})")
    for id, grant in grants.items():
        if not isinstance(id, str) or not id:
            raise ConfigError("Grants", "must have ids of models for keys; write Grants({'gpt-4o': Grant(...)})")
        if not isinstance(grant, Grant):
            raise ConfigError(f"Grants.{id}", _instead_of(grant))


def _instead_of(grant: Any) -> str:
    """What was most likely meant; nothing that was given is repeated but names of groups."""
    if grant is True or grant == "*":
        return "must be a Grant; write Grant(public=True)"
    if isinstance(grant, str):
        return f"must be a Grant; write Grant(groups={{{grant!r}}}), or users={{...}} if it is a user"
    if isinstance(grant, set | frozenset | list | tuple) and all(isinstance(each, str) for each in grant):
        names = ", ".join(map(repr, sorted(grant)))
        return f"must be a Grant; write Grant(groups={{{names}}}), or users={{...}} if these are users"
    return "must be a Grant; write Grant(public=True), Grant(groups={...}) or Grant(users={...})"
