"""The testing kit: servers that answer as Vault (``vault_server``), Google (``google_server``) and Azure
(``azure_server``) do, the suite that every provider passes (``conformance``), and an event loop that jumps over waiting
(``virtual_time``).

Importing this package imports none of them.
"""
