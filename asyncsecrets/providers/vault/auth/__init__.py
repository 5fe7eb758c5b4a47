"""How the Vault provider gets a token, keeps it alive, and gets another."""
