"""The error that a person can mend: its message is one line that says where and how."""


class UserError(ValueError):
    """Bad input, settings or surroundings; stages and commands print it without a traceback."""
