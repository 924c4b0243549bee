"""The conformance kit, for the public API."""

from nasgauge.api.choices import InvalidChoice
from nasgauge.conformance.check import QUERIES, TIME_LIMIT, Finding
from nasgauge.conformance.check import check as _check
from nasgauge.harness.search.specs import Searchable


def check(
    searcher: Searchable, *, queries: int = QUERIES, time_limit: float = TIME_LIMIT
) -> tuple[Finding, ...]:
    """Try a searcher against the laws that every searcher keeps, in processes of its own.

    Parameters
    ----------
    searcher
        A name with options, `"module:Class"`, or a class that another process can import.
    queries
        Evaluations of each trial.
    time_limit
        Seconds of each process.

    Returns
    -------
    tuple[Finding, ...]
        One finding for each law, with `law`, `word` (`"kept"`, `"broken"` or `"not tried"`) and `evidence`.

    Raises
    ------
    UnknownSearcher, InvalidChoice
        Subclasses of `nasgauge.NasgaugeError`; the latter for fewer than two queries or no time.

    Examples
    --------
    >>> import nasgauge as ng
    >>> {finding.word for finding in ng.check("random", queries=10)}
    {'kept'}
    """
    if not (queries >= 2 and time_limit > 0):
        raise InvalidChoice(
            f"queries must be at least 2 and time_limit above 0, not {queries!r} and {time_limit!r}"
        )
    return _check(searcher, queries=queries, time_limit=time_limit)
