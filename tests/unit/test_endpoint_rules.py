"""Host names against AWS's endpoint rule set, as botocore evaluates it."""

import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.loaders import create_loader

from tests.unit.oracle import DATA, Driver, data_file

REGIONS = ["us-east-1", "us-west-2", "eu-central-1", "ap-southeast-7", "sa-east-1", "ca-west-1", "me-central-1",
           "af-south-1", "il-central-1", "mx-central-1", "cn-north-1", "cn-northwest-1", "us-gov-west-1", "us-gov-east-1",
           "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "eusc-de-east-1", "aws-global",
           "aws-cn-global", "xx-new-1", "us-east", "us-east-1a", "local", "us-gov-west", "eusc-fr-west-1"]
VARIANTS = [(fips, dualstack) for fips in (False, True) for dualstack in (False, True)]


@pytest.fixture(scope="module")
def provider():
    loader = create_loader()
    if (DATA / "sagemaker-runtime.endpoint-rule-set-1.json").exists():
        rules = data_file("sagemaker-runtime.endpoint-rule-set-1.json")
    else:
        rules = loader.load_service_model("sagemaker-runtime", "endpoint-rule-set-1")
    return EndpointProvider(rules, loader.load_data("partitions"))


def known_prefixes():
    """Partitions of this botocore version; an old one lacks the newest."""
    return {partition["id"] for partition in create_loader().load_data("partitions")["partitions"]}


def test_hosts(provider):
    questions = [{"ask": "host", "region": region, "fips": fips, "dualstack": dualstack}
                 for region in REGIONS for fips, dualstack in VARIANTS]
    compared = 0
    for question, response in zip(questions, Driver("aws_driver").ask(questions)):
        if response["partition"] not in known_prefixes():
            continue
        try:
            endpoint = provider.resolve_endpoint(Region=question["region"], UseFIPS=question["fips"],
                                                 UseDualStack=question["dualstack"])
        except EndpointProviderError:
            continue  # an old partitions.json lacks dual-stack for the isolated partitions
        assert "https://" + response["host"] == endpoint.url, question
        compared += 1
    assert compared > 70
