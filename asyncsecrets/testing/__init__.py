"""The testing kit: a Vault-compatible server (``vault_server``), the suite that every provider passes
(``conformance``), and an event loop that jumps over waiting (``virtual_time``).

Importing this package imports none of them.
"""
