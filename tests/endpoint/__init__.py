"""A local emulation of the Amazon SageMaker Runtime, for tests, the quickstart and development.

    /usr/bin/python3 -m tests.endpoint --listen 127.0.0.1:8443 --tls --ca-out /tmp/ca.pem

or, inside a test:

    with Endpoint(tls=True) as endpoint:
        endpoint.next_fault("status:503")
        ... call endpoint.url ...
        assert endpoint.requests[-1].verdict == "ok"

Functions
    InvokeEndpoint, InvokeEndpointWithResponseStream and InvokeEndpointAsync, with the parameters, limits,
    headers and errors of the service's public model. botocore's own signer recomputes every signature from
    the bytes received on the wire. Every request is recorded (`Endpoint.requests`).

    It also serves the endpoints' OpenAI-compatible path (/endpoints/NAME/openai/v1/chat/completions) with a
    bearer token, checked by botocore as well; and if `Endpoint.container` names a model, that model's
    container itself: POST /invocations and GET /ping, which must arrive without credentials.

Models, selected by the beginning of the endpoint's name
    echo...       returns the body with its content type (also for any name not listed here)
    json...       returns what the container received, as JSON: headers, length and hash of the body,
                  parameters, the signature's verdict, the signed headers
    count-N-MS    N parts, MS milliseconds apart; a chunked response, or N messages of a stream
    size-N        N bytes of a pattern; for a stream, in messages of 64 KiB
    chat-N-MS     an OpenAI-like chat: N words as server-sent events if the body says "stream": true or the
                  request is a stream, else one JSON object. Stream messages split events and characters
    single...     an endpoint that hosts one model: rejects TargetModel, as the service does
    missing...    an endpoint that does not exist: ValidationError

Faults on command
    A fault is a text of `key:value` items separated by ';'. `endpoint.next_fault(...)` queues one for the
    next request, and any client can request one in CustomAttributes: `x-fault=status:503`. In
    CustomAttributes the fault ends at the first item without a colon, so other attributes may follow; a
    value may be percent-encoded. The keys are the fields of `faults.Fault`, documented there; for example:

    status:503;code:ThrottlingException      a service error (code alone sets the usual status)
    code:ModelError;original_status:400      the response of the model's container
    delay_ms:300     stall:head              wait before the head, or forever
    stall:body;after:10                      10 bytes of the body, then silence
    trickle:3;every_ms:10                    three bytes every 10 ms
    reset:read | reset:head | reset:body     RST while the request is read, before the head, in the body
    cut:1;after:10                           a body that ends early, and an orderly close
    bad:cl-te                                broken HTTP; every kind is in `faults.BAD`
    exception:ModelStreamError;at:2          an exception in an event stream, before the third message

    Connection faults (`endpoint.next_connection("reset")`: close, reset, stall, garbage) and TLS faults
    (`Endpoint(tls="expired")`: wrong-name, expired, self-signed, untrusted, tls1.1, tls1.2, tls1.3) are set
    in Python or by --tls-fault.
"""

from .faults import BAD, CONNECTION_FAULTS, Fault
from .server import Endpoint, Key, Seen

__all__ = ["BAD", "CONNECTION_FAULTS", "Endpoint", "Fault", "Key", "Seen"]
