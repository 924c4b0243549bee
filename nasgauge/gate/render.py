"""A report as Markdown and as JUnit XML: values in, text out."""

import re
from typing import Final
from xml.etree import ElementTree

from nasgauge.gate.compare import SLOWER, Comparison, Report, Speed
from nasgauge.gate.verdicts import ALPHA, MISS, POWER

_NO_TEXT: Final = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot hold, and UTF-8 in part: a searcher's own words may be of any characters."""
_PASS, _FAIL, _UNCLEAR = "pass", "fail", "cannot tell"
_OUTCOMES = (_PASS, _FAIL, _UNCLEAR)


def outcome(report: Report) -> str:
    """The exit code in words."""
    return _OUTCOMES[report.code]


def reason(comparison: Comparison) -> str:
    """One sentence on a comparison: figures, test, and the seeds that a decision needs."""
    verdict, difference = comparison.verdict, comparison.verdict.difference
    low, high = difference.bound()
    text = (
        f"{comparison.then:.3f} then, {comparison.now:.3f} now: {difference.mean:+.3f} points, 95 % bounds {low:+.3f} "
        f"and {high:+.3f}, margin {verdict.margin:.3f}; {difference.design}, {comparison.seeds} seeds; p(worse) "
        f"{verdict.p_worse:.2g}, p(loss of the margin) {verdict.p_inferior:.2g}"
    )
    if verdict.word == "cannot tell":
        text += f"; about {verdict.seeds_needed} seeds on each side are needed"
    return text


def speed_reason(speed: Speed) -> str:
    """One sentence on a speed ratio."""
    return (
        f"{speed.then:.2f} times random search's seconds a step then, {speed.now:.2f} times now: a factor of "
        f"{speed.now / speed.then:.2f}, allowed is {SLOWER:g}"
    )


def markdown(report: Report) -> str:
    """A page with a table of comparisons and one of speeds."""
    lines = [
        f"## {report.title}: {outcome(report)}",
        "",
        report.summary,
        "",
        "| searcher | dataset | queries | then, % | now, % | difference | low | high | margin | test | seeds | same cells "
        "| p worse | p margin lost | verdict |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|---|",
    ]
    for row in report.comparisons:
        verdict, difference = row.verdict, row.verdict.difference
        low, high = difference.bound()
        word = f"**{verdict.word}**" if verdict.word in ("worse", "cannot tell") else verdict.word
        if verdict.word == "cannot tell":
            word += f" (needs about {verdict.seeds_needed} seeds)"
        lines.append(
            f"| {row.searcher} | {row.dataset} | {row.budget} | {row.then:.3f} | {row.now:.3f} | {difference.mean:+.3f} "
            f"| {low:+.3f} | {high:+.3f} | {verdict.margin:.3f} | {difference.design} | {row.seeds} | {row.identical} "
            f"| {verdict.p_worse:.2g} | {verdict.p_inferior:.2g} | {word} |"
        )
    if report.speeds:
        lines += [
            "",
            "| searcher | dataset | seconds a step / random search's, then | now | factor | verdict |",
            "|---|---|--:|--:|--:|---|",
        ]
        lines += [
            f"| {row.searcher} | {row.dataset} | {row.then:.2f} | {row.now:.2f} | {row.now / row.then:.2f} "
            f"| {'**slower**' if row.word == 'slower' else row.word} |"
            for row in report.speeds
        ]
    lines += [
        "",
        f"One-sided tests of means: *worse* and *better* at {ALPHA:.1%}, adjusted by Holm over all comparisons; "
        f"*same* if a loss of the margin is rejected at {MISS:.1%}; low and high are {1 - ALPHA:.0%} bounds; seeds "
        f"needed are for {POWER:.0%} power at a loss of the margin. Slower: a factor over {SLOWER:g}.",
    ]
    lines += [f"\nNote: {note}." for note in report.notes]
    return _NO_TEXT.sub("?", "\n".join(lines)) + "\n"


def junit(report: Report) -> str:
    """A test suite: what is worse, slower or failed is a failure, an undecided comparison an error."""
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", name=f"nasgauge gate: {report.title}")
    counts = {"tests": 0, "failures": 0, "errors": 0}

    def case(classname: str, name: str, word: str, text: str) -> None:
        text = _NO_TEXT.sub("?", text)
        element = ElementTree.SubElement(suite, "testcase", classname=classname, name=name, time="0")
        counts["tests"] += 1
        if word in ("worse", "slower", "failed"):
            counts["failures"] += 1
            ElementTree.SubElement(element, "failure", message=f"{word}: {text}", type=word)
        elif word == "cannot tell":
            counts["errors"] += 1
            ElementTree.SubElement(element, "error", message=f"{word}: {text}", type=word)
        else:
            ElementTree.SubElement(element, "system-out").text = f"{word}: {text}"

    for failure in report.failures:
        case("searchers", " ".join(failure.split()[:2]), "failed", failure)
    for row in report.comparisons:
        case(f"{row.searcher}.{row.dataset}", f"after {row.budget} queries", row.verdict.word, reason(row))
    for speed in report.speeds:
        case(f"{speed.searcher}.{speed.dataset}", "speed", speed.word, speed_reason(speed))
    for name, count in counts.items():
        suite.set(name, str(count))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
