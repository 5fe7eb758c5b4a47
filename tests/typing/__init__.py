"""What type checkers are to say of programs that use asyncsecrets: read by mypy, and never run."""
