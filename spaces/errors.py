"""The base class of all errors that bad input causes."""


class NasgaugeError(Exception):
    """Bad input: the message says in one line what came, what is allowed and what to do.

    Every error class of the package that a caller may want to catch is a subclass; the command line
    prints its message and ends with exit code 2.
    """
