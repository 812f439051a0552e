"""An end that a person can do something about."""


class Problem(Exception):
    """Its message says what is wrong and what to do; it is shown without a traceback."""
