"""`nasgauge check`: test a searcher with the conformance kit."""

from typing import Annotated, Final

import typer

from nasgauge.cli import console

_MOST: Final = 100_000
"""Evaluations of a test search, each of which is run several times."""


def check(
    searcher: Annotated[
        str, typer.Argument(help="Name, or module:Class; options as in my_pkg:MySearcher:population=50.")
    ],
    queries: Annotated[int, typer.Option("--queries", "-q", help="Evaluations per test search.")] = 60,
    time_limit: Annotated[
        float, typer.Option(help="Time limit in seconds for each of four processes.")
    ] = 60.0,
) -> None:
    """Test whether a searcher satisfies the conformance laws. Exit code 0: all hold; 1: at least one is broken.

    Examples:

      nasgauge check evolution

      nasgauge check my_pkg:MySearcher
    """
    if not 2 <= queries <= _MOST:
        few = "few; give at least 2" if queries < 2 else f"many; give at most {_MOST}"
        raise console.BadOption(f"--queries {queries} is too {few}")
    if not time_limit > 0:
        raise console.BadOption(
            f"--time-limit {time_limit:g} is too short; give a positive number of seconds"
        )
    from nasgauge.conformance.check import check as findings
    from nasgauge.conformance.laws import LAWS

    found = findings(searcher, queries=queries, time_limit=time_limit)
    say = console.out().print
    for finding in found:
        style = {"broken": "red", "kept": "green", "not tried": "yellow"}[finding.word]
        say(f"{finding.word:9}", style=style, end=" ")
        say(f"{finding.law}: it {LAWS[finding.law]}", markup=False)
        if finding.evidence:
            say(f"{'':9} {finding.evidence}", markup=False)
    broken, untried = (
        [finding.law for finding in found if finding.word == word] for word in ("broken", "not tried")
    )
    if broken:
        verdict = f"breaks: {', '.join(broken)}"
    elif untried:
        verdict = f"keeps all laws but those not tried: {', '.join(untried)}"
    else:
        verdict = "keeps all laws"
    say(f"{searcher} {verdict}", markup=False)
    raise typer.Exit(bool(broken))
