"""Certificates for the endpoint, valid and invalid, from a CA made on the fly."""

import datetime
import functools
import ssl
import warnings

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FAULTS = ("wrong-name", "expired", "not-yet", "self-signed", "untrusted", "tls1.1", "tls1.2", "tls1.3")


@functools.cache
def authority(name="sagegate tests"):
    """One CA per process and name, because making a key is slow."""
    return trustme.CA(organization_name=name)


def context(names, fault=None):
    """Returns a server's SSLContext for `names`, with one defect if `fault` is set."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if fault in ("expired", "not-yet", "self-signed"):
        _load(tls, *_made_by_hand(names, fault))
    elif fault == "untrusted":
        authority("untrusted CA").issue_cert(*names).configure_cert(tls)
    elif fault == "wrong-name":
        authority().issue_cert("elsewhere.test").configure_cert(tls)
    else:
        authority().issue_cert(*names).configure_cert(tls)
    if fault == "tls1.1":
        tls.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    elif fault == "tls1.2":
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_2
    elif fault == "tls1.3":
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_3
    else:
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
    return tls


def _made_by_hand(names, fault):
    ca = authority()
    ca_key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    ca_name = x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"sagegate tests: {fault}")])
    now, day = datetime.datetime.utcnow(), datetime.timedelta(days=1)
    begin, end = {"expired": (-9, -1), "not-yet": (1, 9)}.get(fault, (-1, 9))
    own = fault == "self-signed"
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if own else ca_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin * day)
        .not_valid_after(now + end * day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names if not n[0].isdigit()]), False)
        .sign(key if own else ca_key, hashes.SHA256())
    )
    return key, certificate


def _load(tls, key, certificate):
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with trustme.Blob(pem + certificate.public_bytes(serialization.Encoding.PEM)).tempfile() as path:
        tls.load_cert_chain(path)
