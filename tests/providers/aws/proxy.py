"""A strict and faulty proxy in front of moto: AWS where moto is not like AWS, and whatever can go wrong on the way.

What it adds, each from the AWS API reference: HTTP 400 where moto says 404; names, values and batches that AWS
refuses; secrets that are scheduled for deletion refuse writes and their name; deprecated versions are listed only when
asked for; `AWSCURRENT` moves for good; keys that are disabled, pending deletion or the wrong ones do not decrypt.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import ssl
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import parse_qs

from aiohttp import web

NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}")
ARN = re.compile(r"arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@!-]+")
FAULT_BODY = "canary-5Tz0qWm8"
WRITES = {"CreateSecret", "PutSecretValue", "DeleteSecret", "UpdateSecretVersionStage"}


class RefusedError(Exception):
    def __init__(self, code: str, message: str = "no", status: int = 400, headers: dict[str, str] | None = None):
        super().__init__(code)
        self.code, self.message, self.status, self.headers = code, message, status, headers or {}


class AwsProxy:
    """Serves on 127.0.0.1 while entered. `calls` are the operations that arrived; faults and refusals are attributes.

    `faults`: one kind per call, taken from the front, or `fault`: for every call. They strike the operations `only`
    (default: all but STS). `applied_first`: the fault strikes after moto has done its work.
    """

    def __init__(self, moto: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.moto = moto
        self._tls = tls
        self.calls: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.fault: str | None = None
        self.faults: list[str] = []
        self.only: set[str] | None = None
        self.applied_first = False
        self.denied: set[str] = set()
        self.denied_names: set[str] = set()
        self.refused: dict[str, tuple[str, str]] = {}  # operation → code and message
        self.pages: dict[str, tuple[int, str]] = {}  # operation → what is answered instead by something that is not AWS
        self.rotating: set[str] = set()  # the secrets that have a function to rotate them
        self.page: int | None = None
        self.accepted_keys: set[str] | None = None
        self.expired: set[str] = set()
        self.lifetime: float | None = None
        self.delay = 0.0
        self._one = asyncio.Lock()  # moto's threads change its dicts under each other's feet

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def count(self, *operations: str) -> int:
        return sum(call in operations for call in self.calls) if operations else len(self.calls)

    # -- moto by its own wire, for tests to prepare and look

    async def moto_call(self, target: str, service: str = "secretsmanager", **body: Any) -> dict[str, Any]:
        status, content = await self._moto("/", json.dumps(body).encode(), _headers(service, target))
        document = json.loads(content)
        if status >= 300:
            raise RefusedError(document.get("__type", "?"), str(document.get("message")), status)
        return document

    async def store(self, name: str, value: str | bytes, **more: Any) -> str:
        """Store a value as a new version, out of band; return its id."""
        token = str(uuid.uuid4())
        key = "SecretString" if isinstance(value, str) else "SecretBinary"
        body = {key: value if isinstance(value, str) else base64.b64encode(value).decode(), "ClientRequestToken": token}
        try:
            await self.moto_call("PutSecretValue", SecretId=name, **body)
        except RefusedError:
            await self.moto_call("CreateSecret", Name=name, **body, **more)
        return token

    def store_many(self, values: dict[str, str]) -> None:
        """Store many new secrets at once, past moto's wire: a thousand requests to it take half a minute."""
        from moto.secretsmanager.models import secretsmanager_backends

        backend = secretsmanager_backends["123456789012"]["eu-central-1"]
        for name, value in values.items():
            backend.create_secret(name, value, None, None, None, None, None, [], False)

    async def reset(self) -> None:
        await self._moto("/moto-api/reset", b"", {})

    async def _moto(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        async with self._one:
            return await self._moto_alone(path, body, headers)

    async def _moto_alone(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        # Not by aiohttp: in asyncio's debug mode it refuses moto's answers, which have two Server headers.
        host, port = self.moto.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        sent = {"Host": f"{host}:{port}", "Connection": "close", "Content-Length": str(len(body)), **headers}
        lines = [f"POST {path} HTTP/1.1", *(f"{key}: {value}" for key, value in sent.items())]
        try:
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            head, _, content = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        return int(head.split()[1]), content

    # -- serving

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        service, operation = _operation(request, raw)
        body = json.loads(raw) if service != "sts" else {}
        self.calls.append(operation)
        form = parse_qs(raw.decode()) if service == "sts" else {}
        signature = request.headers.get("Authorization", "")
        self.requests.append({"operation": operation, "body": body, "form": form, "authorization": signature})
        if self.delay:
            await asyncio.sleep(self.delay)
        if operation in self.pages:
            status, text = self.pages[operation]
            return web.Response(status=status, text=text, content_type="text/html" if "<" in text else "text/plain")
        kind = self._struck(service, operation)
        try:
            if kind is not None and not self.applied_first:
                return await self._fail(request, kind)
            self._identify(request, service, operation)
            self._check(service, operation, body)
            answer = await self._forward(request, raw, service, operation, body)
            return answer if kind is None else await self._fail(request, kind)
        except RefusedError as refused:
            return _refusal(refused, service)

    def _struck(self, service: str, operation: str) -> str | None:
        if service == "sts" and self.only is None:
            return None
        if self.only is not None and operation not in self.only:
            return None
        if self.faults:
            kind = self.faults.pop(0)
            return kind or None
        return self.fault

    def _identify(self, request: web.Request, service: str, operation: str) -> None:
        signed = re.search(r"AWS4-HMAC-SHA256 Credential=([^/]+)/", request.headers.get("Authorization", ""))
        if operation == "AssumeRoleWithWebIdentity":
            return
        if signed is None:
            raise RefusedError("MissingAuthenticationTokenException")
        token = request.headers.get("X-Amz-Security-Token", "")
        if token in self.expired or signed[1] in self.expired:
            raise RefusedError("ExpiredTokenException", "The security token included in the request is expired")
        if self.accepted_keys is not None and signed[1] not in self.accepted_keys:
            raise RefusedError("UnrecognizedClientException", "The security token included in the request is invalid.")
        if operation in self.refused:
            raise RefusedError(*self.refused[operation])
        if operation in self.denied:
            raise RefusedError(
                "AccessDeniedException", f"User: x is not authorized to perform: {service}:{operation} on y"
            )

    def _check(self, service: str, operation: str, body: dict[str, Any]) -> None:
        if service == "kms":
            self._check_key(operation, body)
        if service != "secretsmanager":
            return
        name = body.get("SecretId") or body.get("Name")
        if isinstance(name, str) and not (NAME.fullmatch(name) or ARN.fullmatch(name)):
            raise RefusedError("ValidationException", "Invalid name. Must be a valid name")
        if operation == "CreateSecret" and "!" in str(name):
            raise RefusedError("InvalidParameterException", "The name is reserved")
        if name in self.denied_names:
            raise RefusedError(
                "AccessDeniedException", f"User: x is not authorized to perform: {service}:{operation} on y"
            )
        for member in ("SecretString", "SecretBinary"):
            if member in body and not 1 <= len(body[member]) <= 65536 * (4 / 3 + 1 if member == "SecretBinary" else 1):
                raise RefusedError("ValidationException", "Member must have length less than or equal to 65536")
        if not 1 <= len(body.get("SecretIdList", "x")) <= 20:
            raise RefusedError("ValidationException", "Member must have length less than or equal to 20")
        self._check_state(operation, name)

    def _check_state(self, operation: str, name: str | None) -> None:
        checked = {"CreateSecret", "PutSecretValue", "ListSecretVersionIds", "RotateSecret", "UpdateSecretVersionStage"}
        if operation not in checked:
            return
        secret = _secrets().get(str(name))
        if secret is None and operation == "ListSecretVersionIds":
            raise RefusedError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        if secret is not None and secret.is_deleted() and operation != "ListSecretVersionIds":
            detail = "this secret because a secret with this name is already scheduled for deletion."
            raise RefusedError("InvalidRequestException", f"You can't create {detail}")
        if secret is not None and operation == "RotateSecret" and name not in self.rotating:
            raise RefusedError("InvalidRequestException", "No Lambda rotation function ARN is associated with it.")

    def _check_key(self, operation: str, body: dict[str, Any]) -> None:
        key = _key_id(body.get("KeyId"))
        if operation == "Decrypt":
            used = base64.b64decode(body["CiphertextBlob"])[:36].decode("ascii", "replace")
            if key not in {None, used}:
                raise RefusedError("IncorrectKeyException", "The key ID in the request does not identify a CMK that …")
            key = used
        state = getattr(_keys().keys.get(key), "key_state", None)
        if state == "Disabled":
            raise RefusedError("DisabledException", f"{key} is disabled.")
        if state == "PendingDeletion":
            raise RefusedError("KMSInvalidStateException", f"{key} is pending deletion.")

    async def _forward(
        self, request: web.Request, raw: bytes, service: str, operation: str, body: dict[str, Any]
    ) -> web.Response:
        if operation == "BatchGetSecretValue":
            body, later = self._paged(body)
            raw = json.dumps(body).encode()
        headers = {
            key: request.headers[key]
            for key in ("Authorization", "Content-Type", "X-Amz-Target")
            if key in request.headers
        }
        status, content = await self._moto(request.path, raw, headers)
        if service == "sts":
            return self._sts(content, status)
        document = json.loads(content)
        if status >= 400:
            code = str(document.get("__type", "InternalFailure"))
            raise RefusedError(
                code, str(document.get("message", document.get("Message", ""))), 400 if status < 500 else 500
            )
        if operation == "BatchGetSecretValue":
            self._batch(document, later)
        elif operation == "ListSecretVersionIds" and not body.get("IncludeDeprecated"):
            document["Versions"] = [version for version in document["Versions"] if version["VersionStages"]]
        elif operation == "UpdateSecretVersionStage":
            _move_for_good(document["Name"], body)
        return web.json_response(document, content_type="application/x-amz-json-1.1")

    def _paged(self, body: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        names = json.loads(body.pop("NextToken")) if "NextToken" in body else body["SecretIdList"]
        size = self.page or len(names)
        return {**body, "SecretIdList": names[:size]}, names[size:]

    def _batch(self, document: dict[str, Any], later: list[str]) -> None:
        if later:
            document["NextToken"] = json.dumps(later)
        kept, errors = [], document.setdefault("Errors", [])
        for value in document.get("SecretValues", []):
            if value["Name"] in self.denied_names:
                errors.append({"SecretId": value["Name"], "ErrorCode": "AccessDeniedException", "Message": "no"})
            else:
                kept.append(value)
        document["SecretValues"] = kept

    def _sts(self, content: bytes, status: int) -> web.Response:
        text = content.decode()
        if self.lifetime is not None:
            ends = datetime.now(UTC) + timedelta(seconds=self.lifetime)
            text = re.sub(r"<Expiration>[^<]*<", f"<Expiration>{ends:%Y-%m-%dT%H:%M:%SZ}<", text)
        return web.Response(text=text, status=status, content_type="text/xml")

    # -- faults

    async def _fail(self, request: web.Request, kind: str) -> web.StreamResponse:
        refusals = {
            "unavailable": RefusedError("InternalServiceError", FAULT_BODY, 500),
            "rate_limited": RefusedError("ThrottlingException", FAULT_BODY),
            "rate_limited_retry_after": RefusedError("ThrottlingException", FAULT_BODY, headers={"Retry-After": "70"}),
            "denied": RefusedError("AccessDeniedException", FAULT_BODY),
            "unauthenticated": RefusedError("UnrecognizedClientException", FAULT_BODY),
            "expired": RefusedError("ExpiredTokenException", FAULT_BODY),
        }
        if kind in refusals:
            raise refusals[kind]
        if kind == "bad_gateway":
            return web.Response(text=f"<html>{FAULT_BODY}</html>", status=502, content_type="text/html")
        if kind == "redirect":
            return web.Response(status=307, headers={"Location": f"{self.url}/elsewhere"})
        if kind == "empty":
            return web.json_response({}, content_type="application/x-amz-json-1.1")
        if kind == "malformed":
            return web.Response(text=f'["{FAULT_BODY}', content_type="application/x-amz-json-1.1")
        if kind == "deep":
            return web.Response(text="[" * 200_000, content_type="application/x-amz-json-1.1")
        if kind == "timeout":
            await asyncio.sleep(60)
        if kind == "reset":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return await self._trickle(request, kind)

    async def _trickle(self, request: web.Request, kind: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-amz-json-1.1"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        chunk, pause = (b" " * 65536, 0.0) if kind == "oversize" else (b" ", 0.05)
        with contextlib.suppress(ConnectionError):
            for _ in range(160 if kind == "oversize" else 1200):
                await response.write(chunk)
                await asyncio.sleep(pause)
            await response.write_eof()
        return response


def _operation(request: web.Request, raw: bytes) -> tuple[str, str]:
    target = request.headers.get("X-Amz-Target", "")
    if target:
        service, _, operation = target.partition(".")
        return {"TrentService": "kms"}.get(service, service), operation
    found = re.search(rb"Action=(\w+)", raw)
    return "sts", found[1].decode() if found else "?"


def _headers(service: str, operation: str) -> dict[str, str]:
    scope = f"AKIATESTSEEDING/20260101/eu-central-1/{service}/aws4_request"
    return {
        "X-Amz-Target": f"{'TrentService' if service == 'kms' else service}.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    }


def _refusal(refused: RefusedError, service: str) -> web.Response:
    if service == "sts":
        error = f"<Error><Code>{refused.code}</Code><Message>{refused.message}</Message></Error>"
        text = f"<ErrorResponse>{error}</ErrorResponse>"
        return web.Response(text=text, status=403, content_type="text/xml")
    body = {"__type": refused.code, "message": refused.message}
    headers = {"x-amzn-errortype": refused.code, **refused.headers}
    return web.json_response(body, status=refused.status, headers=headers, content_type="application/x-amz-json-1.1")


def _move_for_good(name: str, body: dict[str, Any]) -> None:
    """moto moves the label and goes on thinking that the old version is the default one."""
    if body.get("VersionStage") == "AWSCURRENT":
        _secrets()[name].default_version_id = body["MoveToVersionId"]


# moto runs in this process, so that what it lets pass can be looked up without asking it.


def _secrets() -> Any:
    from moto.secretsmanager.models import secretsmanager_backends

    return secretsmanager_backends["123456789012"]["eu-central-1"].secrets


def _keys() -> Any:
    from moto.kms.models import kms_backends

    return kms_backends["123456789012"]["eu-central-1"]


def _key_id(key: str | None) -> str | None:
    backend = _keys()
    if key is None or key.rpartition("/")[2] in backend.keys:
        return key and key.rpartition("/")[2]
    return backend.get_key_id_from_alias(key) if key.startswith("alias/") else key
