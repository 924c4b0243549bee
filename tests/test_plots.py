"""Figures by their structure: what is drawn, in which colour, with which lines; no pixel is compared."""

from importlib.metadata import entry_points

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont

from nasgauge.analysis.plots.cells import arcs, draw_cell, draw_preference, draw_shrinking, of, shares
from nasgauge.analysis.plots.comparisons import draw_intervals, draw_profile
from nasgauge.analysis.plots.efficiency import draw_accuracy, draw_regret, draw_top
from nasgauge.analysis.plots.figures import Inks
from nasgauge.analysis.plots.ranks import draw_heat, draw_ranks, draw_sizes, draw_taus
from nasgauge.analysis.plots.style import STYLE, UnknownVenue, looks, style, venues
from nasgauge.analysis.statistics.runs import Band
from nasgauge.spaces.cells import EDGES, OPERATIONS, Cell

GRID = np.geomspace(1, 100, 30)
BANDS = {
    name: Band(centre, centre - 1, centre + 1)
    for name, centre in (
        ("evolution", 80 + 5 * np.log10(GRID)),
        ("random", 80 + 4 * np.log10(GRID)),
        ("evolution:population=50", 79 + 4 * np.log10(GRID)),
    )
}


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


def labels(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]  # type: ignore[union-attr]


def test_a_searcher_looks_the_same_in_every_figure(ax: Axes) -> None:
    shown = looks(BANDS)
    draw_accuracy(ax, GRID, BANDS, references={"best cell": 94.0}, shown=shown)
    other = Figure().add_subplot()
    draw_profile(other, np.linspace(0, 1, 5), {"evolution": Band(*np.ones((3, 5)))}, shown=shown)
    line = next(line for line in ax.lines if line.get_label() == "evolution")
    same = other.lines[0]
    assert to_hex(line.get_color()) == to_hex(same.get_color()) == shown["evolution"].colour.lower()
    assert line.get_marker() == same.get_marker() == shown["evolution"].marker


BUILT_IN = sorted(entry.name for entry in entry_points(group="nasgauge.searchers"))


@given(st.sets(st.sampled_from([*BUILT_IN, *(f"m:{c}" for c in "ABCDEFGH"), *(f"m:A:n={n}" for n in range(9)),
                                *(f"evolution:population={n}" for n in range(9))])))  # fmt: skip
def test_looks_differ_within_a_campaign_and_are_stable_for_built_in_names(searchers: set[str]) -> None:
    found = looks(searchers)
    assert set(found) == searchers
    assert len({(look.colour, look.dash) for look in found.values()}) == len(searchers)
    assert len(set(found.values())) == len(searchers)
    for name in searchers & set(BUILT_IN):
        assert found[name] == looks([name])[name]


def test_fifteen_searchers_have_as_many_markers_and_own_classes_differ() -> None:
    names = [
        *BUILT_IN[:8],
        "m:A",
        "m:B",
        "m:A:n=1",
        "evolution:population=20",
        "evolution:population=50",
        "n:A",
        "n:B",
    ]
    found = looks(names)
    assert len({look.marker for look in found.values()}) == 15
    assert found["m:A"].colour != found["m:B"].colour
    assert (
        len(
            {found[name].dash for name in ("evolution", "evolution:population=20", "evolution:population=50")}
        )
        == 3
    )
    assert found["bananas"].colour != looks(["tpe"])["tpe"].colour


def test_efficiency_has_a_band_and_a_line_for_each_searcher_best_first(ax: Axes) -> None:
    draw_accuracy(
        ax, GRID, BANDS, random=GRID / 2, references={"best cell": 94.0, "highest search metric": 93.9}
    )
    assert labels(ax) == [
        "evolution", "random", "evolution:population=50", "random search, exact", "best cell 94.00",
        "highest search metric 93.90",
    ]  # fmt: skip
    assert len(ax.collections) == len(BANDS)
    assert all(line.get_drawstyle() == "steps-post" for line in ax.lines if str(line.get_label()) in BANDS), (
        "between two evaluations nothing is known"
    )
    assert ax.get_xscale() == "log"
    assert ax.get_ylim()[1] > 94.0
    levels = {line.get_linestyle() for line in ax.lines if "cell" in str(line.get_label())}
    assert not ax.texts, "lines are named in the legend, not on the curves"
    assert levels == {":"}


def test_one_run_has_no_band(ax: Axes) -> None:
    nothing = np.full_like(GRID, np.nan)
    draw_accuracy(ax, GRID, {"random": Band(GRID, nothing, nothing)}, references={})
    assert len(ax.collections) == 0


def test_regret_is_on_a_log_axis_and_survives_a_found_optimum(ax: Axes) -> None:
    found = Band(*np.full((3, len(GRID)), 94.0))
    draw_regret(ax, GRID, {**BANDS, "local": found}, optimum=94.0)
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert 0 < low < high
    line = next(line for line in ax.lines if line.get_label() == "evolution")
    assert np.asarray(line.get_ydata()) == pytest.approx(94.0 - BANDS["evolution"].centre)


def test_leading_cells_have_an_axes_for_each_number() -> None:
    axes = list(Figure().subplots(1, 2))
    late = np.where(GRID < 5, np.nan, GRID)
    draw_top(axes, GRID, {"random": {1: GRID, 5: late}})
    assert [ax.get_title(loc="right") for ax in axes] == ["top 1", "top 5"]
    assert axes[0].get_ylim() == axes[1].get_ylim()


def test_a_cell_has_an_arc_for_each_operation_but_none(ax: Axes) -> None:
    cell = Cell(("nor_conv_3x3", "none", "skip_connect", "none", "avg_pool_3x3", "nor_conv_1x1"))
    draw_cell(ax, of(cell))
    assert [arc.operation for arc in arcs(of(cell))] == [name for name in cell.ops if name != "none"]
    assert {"conv 3×3", "skip", "pool 3×3", "conv 1×1", "in", "out"} <= {text.get_text() for text in ax.texts}


def test_the_edges_of_a_cell_do_not_cross() -> None:
    middles = [arc.label for arc in arcs(of(Cell(("skip_connect",) * 6)))]
    assert len(set(middles)) == len(EDGES)


def test_a_supernet_shrinks_and_what_fell_is_dotted() -> None:
    axes = list(Figure().subplots(1, 2))
    draw_shrinking(axes, [(OPERATIONS[1:],) * 6, (("skip_connect",),) * 6], ["supernet", "after round 1"])
    dotted = [patch for patch in axes[1].patches if patch.get_linestyle() == ":"]
    assert len(dotted) == 6 * 3
    assert len(axes[0].patches) == 6 * 4 + 4


def test_shares_of_operations_add_up(ax: Axes) -> None:
    share = shares([Cell(("none",) * 6), Cell(("skip_connect",) * 6)])
    assert share.sum(axis=1).tolist() == [1.0] * 6
    draw_preference(ax, share)
    assert len(ax.patches) == 6 * len(OPERATIONS)


def test_the_noise_ceiling_is_a_line(ax: Axes) -> None:
    draw_taus(
        ax, [("kappa", 0.4, 0.3, 0.5), ("flops", 0.6, 0.5, 0.7)], ceiling=0.9, published={"kappa": 0.42}
    )
    assert any(list(np.asarray(line.get_xdata())) == [0.9, 0.9] for line in ax.lines)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["kappa", "flops"]


def test_surrogates_are_lines_against_the_cells_fitted_on(ax: Axes) -> None:
    frame = pd.DataFrame(
        {"surrogate": "mlp", "fitted": [32, 64], "mean": [0.3, 0.4], "low": [0.2, 0.3], "high": [0.4, 0.5]}
    )
    draw_sizes(ax, frame)
    assert labels(ax) == ["mlp"]


def test_a_scatter_leaves_out_what_has_no_score(ax: Axes) -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=2000)
    score[:5] = np.nan
    draw_ranks(ax, score, rng.normal(90, 1, size=2000))
    assert len(ax.collections[0].get_offsets()) == 1995  # type: ignore[arg-type]
    empty = Figure().add_subplot()
    draw_ranks(empty, np.full(3, np.nan), np.ones(3))
    assert "no cell" in empty.texts[0].get_text()


def test_a_heat_map_prints_what_is_known(ax: Axes) -> None:
    draw_heat(ax, pd.DataFrame({"a": [1.0, np.nan]}, index=["x", "y"]))
    assert [text.get_text() for text in ax.texts] == ["1.00"]


def test_intervals_are_listed_best_on_top(ax: Axes) -> None:
    draw_intervals(ax, [("local", 0.9, 0.8, 1.0), ("random", 0.5, 0.4, 0.6)])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["local", "random"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_a_venue_sets_column_and_fonts_that_embed() -> None:
    icml = style("icml2024")
    assert icml["figure.figsize"][0] < STYLE["figure.figsize"][0]
    assert icml["pdf.fonttype"] == 42
    assert not icml["text.usetex"]
    assert "neurips2024" in venues()
    for venue in venues():
        with rc_context(style(venue)):
            assert style(venue)["pdf.fonttype"] == 42
            findfont(FontProperties(), fallback_to_default=False)
    with pytest.raises(UnknownVenue, match="choose from page, aaai2024"):
        style("icml1824")


def test_a_figure_is_written_with_its_numbers_and_the_same_bytes_twice(tmp_path) -> None:  # type: ignore[no-untyped-def]
    inks = Inks(tmp_path, style("icml2024"), "table toy")
    numbers = pd.DataFrame({"x": [1.0]})

    def draw(figure: Figure) -> None:
        figure.add_subplot().plot([1, 2])

    files = inks.save("one", draw, numbers)
    assert [path.name for path in files] == ["one.csv", "one.pdf", "one.png"]
    before = [path.read_bytes() for path in files]
    assert before[1].startswith(b"%PDF")
    assert b"table toy" in before[2]
    inks.save("one", draw, numbers)
    assert [path.read_bytes() for path in files] == before
    assert inks.svg(draw).startswith("<svg")
