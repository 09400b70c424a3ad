"""A local look-alike of the Amazon SageMaker Runtime, for tests, for the quickstart and for development.

    /usr/bin/python3 -m tests.endpoint --listen 127.0.0.1:8443 --tls --ca-out /tmp/ca.pem

or, inside a test:

    with Endpoint(tls=True) as endpoint:
        endpoint.next_fault("status=503")
        ... call endpoint.url ...
        assert endpoint.requests[-1].verdict == "ok"

What it does
    InvokeEndpoint, InvokeEndpointWithResponseStream and InvokeEndpointAsync, with the parameters, limits,
    headers and errors of the service's public model. Every signature is computed anew from the bytes that
    came over the wire by botocore's own signer, and compared. Every request is recorded (`Endpoint.requests`).

    Besides, the endpoints' OpenAI-compatible path (/endpoints/NAME/openai/v1/chat/completions) with a bearer
    token, checked by botocore likewise; and where `Endpoint.container` names a model, that model's container
    itself: POST /invocations and GET /ping, which must come without credentials.

Models: the endpoint's name chooses one by how it begins
    echo...       the body comes back with its content type (also for any name that is not below)
    json...       what the container saw, as JSON: headers, length and hash of the body, parameters, the
                  signature's verdict, the signed headers
    count-N-MS    N parts, MS milliseconds apart; a chunked answer, or N messages of a stream
    size-N        N bytes of a pattern; with a stream, in messages of 64 KiB
    chat-N-MS     an OpenAI-like chat: N words as server-sent events if the body says "stream": true or the
                  call is a stream, else one JSON object. The messages of a stream cut events and characters
    single...     an endpoint that hosts one model: refuses TargetModel, as the service does
    missing...    an endpoint that does not exist: ValidationError

Failing on command
    A fault is a text of `key:value` items with ';' between them, `endpoint.next_fault(...)` queues one for
    the next request, and any caller can ask for one in the CustomAttributes: `x-fault=status:503`. In
    CustomAttributes the fault ends at the first item without a colon, so other attributes may follow; a
    value may be percent-encoded. The keys are the fields of `faults.Fault`, documented there; a few:

    status:503;code:ThrottlingException      an error of the service (code alone sets the usual status)
    code:ModelError;original_status:400      what the model's container answered
    delay_ms:300     stall:head              wait before the head, or for ever
    stall:body;after:10                      10 bytes of the body, then silence
    trickle:3;every_ms:10                    three bytes each 10 ms
    reset:read | reset:head | reset:body     RST while the request is read, before the head, in the body
    cut:1;after:10                           a body that ends too early, and an orderly close
    bad:cl-te                                broken HTTP; every kind is in `faults.BAD`
    exception:ModelStreamError;at:2          an exception in an event stream, before the third message

    Faults of the connection itself (`endpoint.next_connection("reset")`: close, reset, stall, garbage) and
    of TLS (`Endpoint(tls="expired")`: wrong-name, expired, self-signed, untrusted, tls1.1, tls1.2, tls1.3)
    are set in Python or by --tls-fault.
"""

from .faults import BAD, CONNECTION_FAULTS, Fault
from .server import Endpoint, Key, Seen

__all__ = ["BAD", "CONNECTION_FAULTS", "Endpoint", "Fault", "Key", "Seen"]
