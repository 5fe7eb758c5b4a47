"""One module (or package) per secret manager. They know their manager's protocol and nothing above them."""
