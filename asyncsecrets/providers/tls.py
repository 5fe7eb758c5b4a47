"""What holds for every TLS connection of ours, whoever makes it."""

from __future__ import annotations

import ssl

__all__ = ["client_context"]


def client_context() -> ssl.SSLContext:
    """A context that trusts nobody yet: certificates required, host name checked, TLS 1.2 at least.

    The name must be among the certificate's alternative ones (subjectAltName): RFC 9525 §2 leaves the common name out.
    """
    # Not create_default_context(): that one writes the session keys to the file SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    return context
