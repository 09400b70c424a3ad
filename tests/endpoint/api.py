"""The service's operations, parameters, limits and errors, from its public model. Does no I/O."""

import json
import re
from dataclasses import dataclass, field

ACCOUNT = "111122223333"
NAME = r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"
PRINT = r"[\x21-\x7e][\x20-\x7e]*"  # Java's \A\S[\p{Print}]*\z

# parameter, header, minimum, maximum, pattern
_COMMON = [
    ("CustomAttributes", "x-amzn-sagemaker-custom-attributes", 0, 1024, r"[\x20-\x7e\t]*"),
    ("InferenceId", "x-amzn-sagemaker-inference-id", 1, 64, PRINT),
]
_REALTIME = _COMMON + [
    ("ContentType", "content-type", 0, 1024, r"[\x20-\x7e\t]*"),
    ("TargetVariant", "x-amzn-sagemaker-target-variant", 0, 63, NAME),
    ("TargetContainerHostname", "x-amzn-sagemaker-target-container-hostname", 0, 63, NAME),
    ("InferenceComponentName", "x-amzn-sagemaker-inference-component", 0, 63,
     r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?"),
    ("PrefixAwareId", "x-amzn-sagemaker-prefix-aware-id", 1, 64, PRINT),
]
OPERATIONS = {
    "invocations": _REALTIME + [
        ("Accept", "accept", 0, 1024, r"[\x20-\x7e\t]*"),
        ("TargetModel", "x-amzn-sagemaker-target-model", 1, 1024, PRINT),
        ("EnableExplanations", "x-amzn-sagemaker-enable-explanations", 1, 64, r".*"),
        ("SessionId", "x-amzn-sagemaker-session-id", 0, 256, f"NEW_SESSION|{NAME}"),
    ],
    "invocations-response-stream": _REALTIME + [
        ("Accept", "x-amzn-sagemaker-accept", 0, 1024, r"[\x20-\x7e\t]*"),
        ("SessionId", "x-amzn-sagemaker-session-id", 0, 256, NAME),
    ],
    "async-invocations": _COMMON + [
        ("ContentType", "x-amzn-sagemaker-content-type", 0, 1024, r"[\x20-\x7e\t]*"),
        ("Accept", "x-amzn-sagemaker-accept", 0, 1024, r"[\x20-\x7e\t]*"),
        ("InputLocation", "x-amzn-sagemaker-inputlocation", 1, 1024, r"(https|s3)://([^/]+)/?(.*)"),
        ("S3OutputPathExtension", "x-amzn-sagemaker-s3outputpathextension", 1, 512,
         r"(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+"),
        ("Filename", "x-amzn-sagemaker-filename", 1, 32, r"(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_.]*"),
        ("RequestTTLSeconds", "x-amzn-sagemaker-requestttlseconds", 1, 5, r"[0-9]+"),
        ("InvocationTimeoutSeconds", "x-amzn-sagemaker-invocationtimeoutseconds", 1, 4, r"[0-9]+"),
    ],
}
# The OpenAI-compatible path: accepts no API headers; a component is part of the path.
OPENAI = "openai"
_OPENAI_PATH = re.compile(r"/endpoints/([^/]*)(?:/inference-components/([^/]+))?/openai/v1/chat/completions\Z")
# A container called directly.
CONTAINER = {"/invocations": "container", "/ping": "container-ping"}
_PATH = re.compile(r"/endpoints/([^/]*)/([a-z-]+)\Z")

# Headers allowed in a request in addition to its operation's parameters.
EXPECTED_HEADERS = {
    "host", "content-length", "authorization", "user-agent", "accept", "accept-encoding", "content-type",
    "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "x-amz-user-agent",
    "amz-sdk-invocation-id", "amz-sdk-request", "connection",
}

# The usual status of each error, and its default message.
ERRORS = {
    "ValidationError": (400, "Value failed to satisfy constraint"),
    "ModelError": (424, None),
    "ModelNotReadyException": (429, "Model is not ready for inference yet. Please try your request again later."),
    "InternalDependencyException": (530, "A dependency failed."),
    "InternalFailure": (500, "The request processing has failed because of an unknown error."),
    "ServiceUnavailable": (503, "The service is temporarily unavailable."),
    "ThrottlingException": (400, "Rate exceeded"),
    "AccessDeniedException": (403, f"User: arn:aws:iam::{ACCOUNT}:user/someone is not authorized to perform: "
                                   "sagemaker:InvokeEndpoint"),
    "ExpiredTokenException": (403, "The security token included in the request is expired"),
    "InvalidSignatureException": (403, "The request signature we calculated does not match the signature you "
                                       "provided. Check your AWS Secret Access Key and signing method."),
    "IncompleteSignatureException": (403, "The request signature does not conform to AWS standards."),
    "UnrecognizedClientException": (403, "The security token included in the request is invalid."),
    "InvalidClientTokenId": (403, "The security token included in the request is invalid."),
    "MissingAuthenticationTokenException": (403, "Missing Authentication Token"),
    "RequestExpired": (400, "Request has expired."),
    "RequestEntityTooLarge": (413, "The request is too large."),
    "RequestTimeoutException": (408, "The request timed out."),
    "UnknownOperationException": (404, "The operation is not known."),
}
BY_STATUS = {
    400: "ValidationError", 403: "AccessDeniedException", 404: "UnknownOperationException",
    408: "RequestTimeoutException", 413: "RequestEntityTooLarge", 424: "ModelError",
    429: "ModelNotReadyException", 500: "InternalFailure", 503: "ServiceUnavailable",
    530: "InternalDependencyException",
}


@dataclass
class Refusal(Exception):
    """An error response of the service."""

    code: str
    message: str = None
    status: int = None
    extra: dict = field(default_factory=dict)

    def __post_init__(self):
        status, message = ERRORS.get(self.code, (500, "unknown"))
        self.status = self.status or status
        self.message = self.message if self.message is not None else message

    def body(self):
        return json.dumps({"Message": self.message, **self.extra}).encode()


def model_error(endpoint, region, status, text, log_stream=None):
    """The service's report of a container that returned `status` (0: it did not respond in time)."""
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    whose = "client" if 400 <= status < 500 else "server"
    message = (
        f'Received {whose} error ({status}) from primary with message "{text}". '
        f"See https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
        f"#logEventViewer:group={group} in account {ACCOUNT} for more information."
    )
    stream = log_stream or f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}"
    return Refusal("ModelError", message, 424, {
        "OriginalStatusCode": status, "OriginalMessage": text, "LogStreamArn": stream})


def operation_of(path):
    """Returns (endpoint name, operation) of a path; raises Refusal if there is none."""
    openai = _OPENAI_PATH.match(path)
    found = openai or _PATH.match(path)
    if not found or (not openai and found.group(2) not in OPERATIONS):
        raise Refusal("UnknownOperationException", f"No operation at {path}")
    name = found.group(1)
    if not re.fullmatch(NAME, name) or len(name) > 63:
        raise Refusal("ValidationError", _failed(name, "endpointName", f"regular expression pattern: ^{NAME}"))
    return name, OPENAI if openai else found.group(2)


def parameters(operation, headers):
    """Returns the parameters in the headers; raises Refusal at the first violation of a rule of the model."""
    values = {}
    for parameter, header, least, most, pattern in OPERATIONS.get(operation, []):
        given = [value for name, value in headers if name.lower() == header]
        if not given:
            continue
        if len(given) > 1:
            raise Refusal("ValidationError", f"Header {header} was sent {len(given)} times")
        value = given[0]
        name = parameter[0].lower() + parameter[1:]
        if len(value) < least:
            raise Refusal("ValidationError", _failed(value, name, f"have length greater than or equal to {least}"))
        if len(value) > most:
            raise Refusal("ValidationError", _failed(value, name, f"have length less than or equal to {most}"))
        if value and not re.fullmatch(pattern, value):
            raise Refusal("ValidationError", _failed(value, name, f"regular expression pattern: {pattern}"))
        values[parameter] = value
    return values


def unexpected(operation, headers):
    """Returns headers that must not arrive: hop-by-hop headers and those unknown to the operation."""
    known = EXPECTED_HEADERS | {header for _, header, _, _, _ in OPERATIONS.get(operation, [])}
    strange = []
    for name, value in headers:
        lower = name.lower()
        if lower not in known or (lower == "connection" and value.lower() not in ("keep-alive", "close")):
            strange.append(f"{name}: {value}")
    names = [name.lower() for name, _ in headers]
    strange += [f"{name} twice" for name in sorted(set(names)) if names.count(name) > 1]
    return strange


def _failed(value, name, rule):
    verb = "satisfy " if rule.startswith("regular") else ""
    return (f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: "
            f"Member must {verb}{rule}")
