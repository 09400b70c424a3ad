"""The API table against AWS's service model: every header, length and pattern."""

import random
import re

import pytest

from tests.unit.oracle import Driver, data_file, hexed

OPERATIONS = ["InvokeEndpoint", "InvokeEndpointWithResponseStream", "InvokeEndpointAsync"]
NEWER = {"PrefixAwareId"}  # in the API reference, not yet in a published model
MUTATIONS = "aZ9-_.:/ \t*'()!~é\x00\x07\n\x7f@%\\"
VALUES = ["", "a", "-", "a-", "-a", "a--b", "NEW_SESSION", "new-session", "s3://b", "s3://b/k", "https://h/p?q", "https://",
          "s3:///k", "http://h/", "a.b", "a.b.c", ".a", "a_b", "a/b", "s3:", "https:", "application/json", "*/*", " a", "a ",
          "a\tb", "\ta", "`true`", "a b", "é", "a" * 32, "a" * 33, "a" * 63, "a" * 64, "a" * 65, "a" * 256, "a" * 257,
          "a" * 512, "a" * 513, "a" * 1024, "a" * 1025, "s3://" + "b" * 1019, "s3://" + "b" * 1020]
NUMBERS = ["", "0", "1", "59", "60", "61", "3599", "3600", "3601", "21599", "21600", "21601", "-1", "+60", "6e1", " 60",
           "60 ", "60.0", "0x60", "4294967356", "18446744073709551676", "é"]


@pytest.fixture(scope="module")
def model():
    return data_file("sagemaker-runtime.service-2.json")


@pytest.fixture(scope="module")
def driver():
    return Driver("aws_driver")


def members(model, operation):
    """Parameter -> (header, shape), except the path's label and the body."""
    shape = model["shapes"][model["operations"][operation]["input"]["shape"]]
    return {name: (member["locationName"], model["shapes"][member["shape"]])
            for name, member in shape["members"].items() if member.get("location") == "header"}


def test_operations_and_headers(model, driver):
    table = driver.ask_one({"ask": "table"})
    assert [name for name, _ in table["operations"]] == OPERATIONS
    for index, (name, suffix) in enumerate(table["operations"]):
        assert model["operations"][name]["http"]["requestUri"] == "/endpoints/{EndpointName}/" + suffix
        ours = {row[1]: row[2 + index] for row in table["parameters"] if row[2 + index] and row[1] not in NEWER}
        assert ours == {parameter: header for parameter, (header, _) in members(model, name).items()}


def test_names_are_api_names_in_snake_case(driver):
    for name, api_name, *_ in driver.ask_one({"ask": "table"})["parameters"]:
        assert name.replace("_", "") == api_name.lower()


def accepts(shape, value):
    """Returns the model's verdict. Patterns apply to whole values, as in the control plane."""
    if shape["type"] == "integer":
        return bool(re.fullmatch("[0-9]{1,10}", value)) and shape["min"] <= int(value) <= shape["max"]
    if not shape.get("min", 0) <= len(value) <= shape["max"]:
        return False
    pattern = shape["pattern"].replace(r"\p{ASCII}", r"[\x00-\x7f]").replace(r"[\p{Print}]", r"[\x20-\x7e]")
    pattern = pattern.replace(r"\z", r"\Z").replace("$", r"\Z")
    return re.fullmatch(pattern, value) is not None


def fits_in_header(value):
    """Values that a field can carry and an ASCII pattern allows: printable ASCII and inner tabs."""
    return re.fullmatch(r"([ -~]([ -~\t]*[ -~])?)?", value) is not None


def generated(rng):
    for value in VALUES:
        yield value
    for _ in range(400):
        value = list(rng.choice(VALUES)[:100])
        for _ in range(rng.randint(1, 3)):
            value.insert(rng.randint(0, len(value)), rng.choice(MUTATIONS))
        yield "".join(value)


@pytest.mark.parametrize("index, operation", enumerate(OPERATIONS))
def test_every_value_is_validated_as_by_the_model(model, driver, index, operation):
    rows = {api_name: name for name, api_name, *_ in driver.ask_one({"ask": "table"})["parameters"]}
    questions, expected = [], []
    for api_name, (_, shape) in members(model, operation).items():
        for value in [*generated(random.Random(api_name)), *NUMBERS]:
            questions.append({"ask": "check", "operation": index, "parameter": rows[api_name], "value": hexed(value)})
            # A tab in an S3 key or a URL is never intended.
            good = fits_in_header(value) and not (api_name == "InputLocation" and "\t" in value)
            expected.append(good and accepts(shape, value))
    assert len(questions) > 3500
    for question, response, good in zip(questions, driver.ask(questions), expected):
        told = bytes.fromhex(question["value"]), bytes.fromhex(response["fault"]).decode()
        assert response["ok"] == good, (question["parameter"], *told)
        assert good or re.fullmatch(r"[^\n]+: [^\n]+", told[1]), told


def test_endpoint_names(model, driver):
    shape = model["shapes"]["EndpointName"]
    values = list(generated(random.Random(1)))
    responses = driver.ask([{"ask": "check", "parameter": "endpoint_name", "value": hexed(value)} for value in values])
    assert [response["ok"] for response in responses] == [accepts(shape, value) and value != "" for value in values]
