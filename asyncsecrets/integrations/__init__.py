"""asyncsecrets inside frameworks: one thin module for each, named after it. All of them stand on ``serving``."""
