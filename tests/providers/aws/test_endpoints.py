"""The short list of partitions stands in for botocore's long list of endpoints."""

from __future__ import annotations

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from asyncsecrets.providers.aws.models import PartitionLoader

OPERATIONS = {"secretsmanager": "list_secrets", "kms": "list_keys", "sts": "get_caller_identity"}
REGIONS = ["eu-central-1", "us-east-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "il-central-1", "nowhere-1"]


@pytest.fixture(scope="module")
def loaders():
    """botocore's own loader, and ours; each keeps what it has loaded."""
    own = botocore.session.Session().get_component("data_loader")
    return own, PartitionLoader(own)


def sent_to(loader, service, region, **options):
    """Where a request goes and the region it is signed for, or the class of error."""
    session = botocore.session.Session()
    session.register_component("data_loader", loader)
    keys = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "canary"}
    sent = []

    def stop(request, **_):
        sent.append((request.url, request.headers["Authorization"].decode().split("/")[2:4]))
        raise InterruptedError

    try:
        client = session.create_client(service, region_name=region, config=Config(**options), **keys)
        client.meta.events.register("before-send", stop)
        getattr(client, OPERATIONS[service])()
    except BotoCoreError as error:
        return type(error)
    except InterruptedError:
        return sent


@pytest.mark.parametrize("service", OPERATIONS)
@pytest.mark.parametrize("region", REGIONS)
def test_same_endpoints(loaders, service, region):
    """Requests go to the same place and are signed for the same region by either list, also for FIPS and dual stack."""
    own, ours = loaders
    for options in ({}, {"use_fips_endpoint": True}, {"use_dualstack_endpoint": True}):
        expected = sent_to(own, service, region, **options)
        assert isinstance(expected, list | type)
        if isinstance(expected, list):
            assert sent_to(ours, service, region, **options) == expected


def test_endpoints_of_ones_own(tmp_path, monkeypatch):
    """Who has put an endpoints.json where botocore looks for one keeps it."""
    (tmp_path / "endpoints.json").write_text('{"version": 3, "partitions": []}')
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    loader = PartitionLoader(botocore.session.Session().get_component("data_loader"))
    document, path = loader.load_data_with_path("endpoints")
    assert document["partitions"] == []
    assert path.startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-central-1", "aws"), ("eu-central-99", "aws"), ("cn-south-99", "aws-cn"), ("us-gov-west-99", "aws-us-gov")],
)
def test_a_region_that_is_new(region, partition):
    """AWS opens regions more often than botocore is updated: by its name one is known to be of its partition."""
    session = botocore.session.Session()
    session.register_component("data_loader", PartitionLoader(session.get_component("data_loader")))
    assert session.get_partition_for_region(region) == partition
