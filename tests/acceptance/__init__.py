"""What the project promises, shown against servers that stand in for production: a dev server, or a real one."""
