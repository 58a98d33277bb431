"""The outside: everything that touches the API server, the clock and the process. Decisions live in the pure middle."""
