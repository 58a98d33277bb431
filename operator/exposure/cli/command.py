"""How a subcommand ends: with an exit status, or with an error that says what to do."""

#: Exit statuses, as documented: done; differences or failures that were asked for; wrong use or unreadable input.
DONE, DIFFERENT, UNUSABLE = 0, 1, 2


class UsageError(Exception):
    """Wrong use or unreadable input. The process writes the message to standard error and ends with status 2."""
