"""Projects: their ids and numbers, what is wrong with them, and who may not do what."""

from __future__ import annotations

from dataclasses import dataclass

from asyncsecrets.testing.google_server.refusals import broken_project, denied


@dataclass(slots=True)
class Denial:
    """Who may not do what; None or an empty name stand for everyone and everything."""

    permission: str | None
    principal: str | None
    name: str


class Projects:
    """The projects that there are, by id; a request may name one by its number as well."""

    def __init__(self) -> None:
        self.numbers: dict[str, str] = {}
        self.broken: dict[str, str] = {}
        self.denials: list[Denial] = []

    def id_of(self, name: str) -> str:
        """The id of the project in a resource's name; empty if there is none such."""
        word = name.split("/")[1] if name.startswith("projects/") else ""
        return next((project for project, number in self.numbers.items() if word in {project, number}), "")

    def canonical(self, name: str) -> str:
        """The name with the project's number in it, as Secret Manager answers."""
        return self._with(name, self.numbers.get(self.id_of(name), ""))

    def with_id(self, name: str) -> str:
        """The name with the project's id in it, as KMS answers."""
        return self._with(name, self.id_of(name))

    @staticmethod
    def _with(name: str, word: str) -> str:
        return "/".join(["projects", word, *name.split("/")[2:]])

    def admit(self, principal: str, permission: str, name: str, service: str) -> None:
        """Refuse who may not do this, and whatever is in a project that is not there or cannot use the service."""
        project = self.id_of(name)
        if reason := self.broken.get(project):
            raise broken_project(reason, project, self.numbers[project], service)
        refused = any(
            denial.permission in {None, permission} and denial.principal in {None, principal} and denial.name in name
            for denial in self.denials
        )
        if refused or not project:
            raise denied(permission, name)
