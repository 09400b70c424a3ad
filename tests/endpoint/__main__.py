"""Runs the endpoint as a program until SIGTERM or Ctrl-C."""

import argparse
import signal
import sys
import threading

from . import Endpoint, Key
from . import __doc__ as manual
from . import certificates
from .server import ACCESS_KEY, SECRET_KEY


def main():
    parser = argparse.ArgumentParser(
        prog="tests.endpoint", description=manual, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="port 0 takes a free one")
    parser.add_argument("--tls", action="store_true", help="speak TLS, with a certificate of a CA made now")
    parser.add_argument("--tls-fault", choices=certificates.FAULTS, help="speak TLS, with this wrong")
    parser.add_argument("--ca-out", metavar="FILE", help="write the CA's certificate there")
    parser.add_argument("--name", action="append", metavar="HOST", help="a host name that it serves (repeatable)")
    parser.add_argument("--access-key", default=ACCESS_KEY, metavar="ID")
    parser.add_argument("--secret-key", default=SECRET_KEY, metavar="SECRET")
    parser.add_argument("--session-token", metavar="TOKEN")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--skew", type=int, default=0, metavar="SECONDS", help="how far its clock is off")
    parser.add_argument("--log", metavar="FILE", help="one JSON line for each request; '-' is stdout")
    parser.add_argument("--ready-file", metavar="FILE", help="write the URL there as soon as it listens")
    options = parser.parse_args()

    log = sys.stdout if options.log == "-" else open(options.log, "a") if options.log else None
    endpoint = Endpoint(
        listen=options.listen, tls=options.tls_fault or options.tls,
        names=options.name or ("localhost", "127.0.0.1", "::1"),
        keys={options.access_key: Key(options.secret_key, options.session_token)},
        region=options.region, log=log)
    endpoint.clock_skew_s = options.skew
    if options.ca_out:
        endpoint.ca_file(options.ca_out)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    with endpoint:
        print(f"endpoint: {endpoint.url}", file=sys.stderr, flush=True)
        if options.ready_file:
            with open(options.ready_file, "w") as file:
                file.write(endpoint.url + "\n")
        over.wait()


main()
