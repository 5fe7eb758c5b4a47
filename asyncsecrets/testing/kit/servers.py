"""The servers that answer as the managers do, each started in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from asyncsecrets.testing.needs import need

if TYPE_CHECKING:
    from asyncsecrets.testing.azure_server import AzureServer
    from asyncsecrets.testing.google_server import GoogleServer
    from asyncsecrets.testing.vault_server import VaultServer

__all__ = ["AwsServer", "aws", "azure", "google", "vault"]


class AwsServer:
    """moto, which answers as Secrets Manager, KMS and STS do, at ``url``. Its state is of the whole process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return f"<AwsServer {self.url}>"

    def environ(self) -> dict[str, str]:
        """The variables by which a program finds it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIATESTING",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION_NAME": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def clear(self) -> None:
        """Have it hold nothing."""
        connection = HTTPConnection(self.url.removeprefix("http://"))
        with closing(connection):
            connection.request("POST", "/moto-api/reset")
            connection.getresponse().read()


def vault() -> AbstractContextManager[VaultServer]:
    """A Vault."""
    from asyncsecrets.testing.vault_server import VaultServer  # noqa: PLC0415  # only where it is used

    return VaultServer().run_in_thread()


def google() -> AbstractContextManager[GoogleServer]:
    """Google Secret Manager and KMS. Raises MissingDependencyError without the extra ``google``."""
    need("grpc", "google")
    from asyncsecrets.testing.google_server import GoogleServer  # noqa: PLC0415

    return GoogleServer.in_thread()


def azure() -> AbstractContextManager[AzureServer]:
    """Azure Key Vault. Raises MissingDependencyError without the extras ``azure`` and ``testing``."""
    need("azure.keyvault.secrets", "azure")
    from asyncsecrets.testing.azure_server import AzureServer  # noqa: PLC0415

    return AzureServer.in_thread()


@contextmanager
def aws() -> Iterator[AwsServer]:
    """AWS, empty. Raises MissingDependencyError without the extra ``testing-aws``."""
    server = need("moto.server", "testing-aws").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        started = server._server  # noqa: SLF001  # moto shows it in no other way
        started.app = _named_once(started.app)
        host, port = server.get_host_and_port()
        found = AwsServer(f"http://{host}:{port}")
        found.clear()
        yield found
    finally:
        server.stop()


def _named_once(app: Any) -> Any:
    """``app`` of WSGI without its name of the server, since werkzeug gives another: in asyncio's debug mode, aiohttp
    takes no header twice."""

    def answer(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [one for one in headers if one[0].lower() != "server"], *rest)

        return app(environ, start)

    return answer
