"""A self-signed certificate for localhost and 127.0.0.1, made once per test session, and what stands for the system's."""

from __future__ import annotations

import atexit
import datetime
import functools
import ipaddress
import os
import ssl
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def trust_a_stranger_alone() -> None:
    """Has this process, and those that it starts, take one authority that signs nothing for all that the system trusts.

    No test calls a server outside, and the system's hundreds take 20 ms to read: for each gateway, and each client.
    """
    handle, path = tempfile.mkstemp(suffix=".pem")
    atexit.register(os.unlink, path)
    with open(handle, "wb") as file:
        file.write(_self_signed("stranger.invalid"))
    os.environ["SSL_CERT_FILE"] = path
    os.environ["SSL_CERT_DIR"] = os.devnull


@functools.cache
def _certificate() -> bytes:
    """A key and a self-signed certificate for loopback, in PEM."""
    return _self_signed("localhost", x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


def _self_signed(host: str, *more: x509.GeneralName) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(host), *more]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


@functools.cache
def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:  # the only way in is a path
        file.write(_certificate())
        file.flush()
        context.load_cert_chain(file.name)
    return context


@functools.cache
def client_tls() -> ssl.SSLContext:
    """Trusts the certificate of the scripted upstreams, and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=_certificate().decode())
    return context
