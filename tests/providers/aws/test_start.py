"""What the event loop has to do itself while a client at AWS starts and reads its first secret.

How long it is kept is measured by `python -m benchmarks.aws`; here it is counted what is done on its thread.
"""

from __future__ import annotations

import pytest

from tests.providers.aws.conftest import ENVIRON
from tests.providers.starting import blocking_in

PROGRAM = """
from asyncsecrets import RetryPolicy, SecretsClient

PATIENT = RetryPolicy(attempts=200, deadline=100.0)  # how long it takes is not what is looked at, on whatever machine

async def main(settings):
    global counting
    settings = {"key_management_system": "aws_secret_manager", "key_management_settings": settings}
    counting = True
    async with SecretsClient.from_config({"general_settings": settings}, retry=PATIENT) as secrets:
        await secrets.get("db")
        counting = False
"""
SDK = ("aioboto3", "aiobotocore", "boto3", "botocore")


@pytest.mark.parametrize("role", [False, True], ids=["keys", "role"])
async def test_nothing_blocks_the_loop(aws, role):
    """Importing the SDK, its model files, certificates and finding credentials are for threads: the loop does none."""
    await aws.store("db", "canary")
    settings = {"attempt_timeout": "15"}
    if role:
        settings |= {"aws_role_name": "arn:aws:iam::123456789012:role/reader", "aws_sts_endpoint": aws.url}
    by_threads = await blocking_in(PROGRAM, settings, sdk=SDK, **ENVIRON, AWS_ENDPOINT_URL=aws.url)
    assert {"aiobotocore.session", "botocore.session"} <= by_threads
    assert not {"aioboto3", "boto3"} & by_threads  # of what `asyncsecrets[aws]` brings: aiobotocore will do
