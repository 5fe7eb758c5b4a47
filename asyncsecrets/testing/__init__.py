"""The testing kit: servers that answer as Vault (``vault_server``) and as Google (``google_server``) do, the suite that
every provider passes (``conformance``), and an event loop that jumps over waiting (``virtual_time``).

Importing this package imports none of them.
"""
