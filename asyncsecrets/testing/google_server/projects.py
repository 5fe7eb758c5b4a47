"""Projects: their ids and numbers, what is wrong with them, and who may not do what."""

from __future__ import annotations

from typing import Final

from asyncsecrets.testing.google_server.refusals import Refused

_CONSOLE: Final = "https://console.developers.google.com"
_BROKEN: Final = {
    "SERVICE_DISABLED": "{service} has not been used in project {number} before or it is disabled. Enable it by "
    f"visiting {_CONSOLE}/apis/api/{{service}}/overview?project={{number}} then retry.",
    "BILLING_DISABLED": "This API method requires billing to be enabled. Please enable billing on project #{number} by "
    f"visiting {_CONSOLE}/billing/enable?project={{number}} then retry.",
    "CONSUMER_INVALID": "Project '{project}' not found or deleted.",
}


class Projects:
    """The projects that there are: ``numbers`` by id, what is ``broken`` by id, and ``denials`` of a permission, a
    principal, a part of a name (None and an empty one stand for all)."""

    def __init__(self) -> None:
        self.numbers: dict[str, str] = {}
        self.broken: dict[str, str] = {}
        self.denials: list[tuple[str | None, str | None, str]] = []

    def canonical(self, name: str) -> str:
        """The name with the project's number in it, as Secret Manager answers."""
        return self._with(name, self.numbers.get(self._id(name), ""))

    def with_id(self, name: str) -> str:
        """The name with the project's id in it, as KMS answers."""
        return self._with(name, self._id(name))

    def admit(self, principal: str, permission: str, name: str, service: str) -> None:
        """Refuse who may not do this, and whatever is in a project that is not there or cannot use the service."""
        project = self._id(name)
        number = self.numbers.get(project, "")
        if reason := self.broken.get(project):
            message = _BROKEN.get(reason, reason).format(project=project, number=number, service=service)
            raise Refused("PERMISSION_DENIED", message, reason, service=service, consumer=f"projects/{number}")
        if not project or any(
            may_not in {None, permission} and who in {None, principal} and part in name
            for may_not, who, part in self.denials
        ):
            message = f"Permission '{permission}' denied for resource '{name}' (or it may not exist)."
            raise Refused("PERMISSION_DENIED", message, "IAM_PERMISSION_DENIED", permission=permission, resource=name)

    def _id(self, name: str) -> str:
        word = name.split("/")[1] if name.startswith("projects/") else ""
        return next((project for project, number in self.numbers.items() if word in {project, number}), "")

    @staticmethod
    def _with(name: str, word: str) -> str:
        return "/".join(["projects", word, *name.split("/")[2:]])
