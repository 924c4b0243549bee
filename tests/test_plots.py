"""Figures by their structure: what is drawn, in which colour, with which lines; no pixel is compared."""

import numpy as np
import pandas as pd
import pytest
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
from nasgauge.analysis.plots.style import STYLE, UnknownVenue, look, style, venues
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
    draw_accuracy(ax, GRID, BANDS, references={"best cell": 94.0})
    other = Figure().add_subplot()
    draw_profile(other, np.linspace(0, 1, 5), {"evolution": Band(*np.ones((3, 5)))})
    line = next(line for line in ax.lines if line.get_label() == "evolution")
    same = other.lines[0]
    assert to_hex(line.get_color()) == to_hex(same.get_color()) == look("evolution").colour.lower()
    assert line.get_marker() == same.get_marker() == look("evolution").marker


def test_options_change_the_dash_alone() -> None:
    plain, option = look("evolution"), look("evolution:population=50")
    assert (plain.colour, plain.marker) == (option.colour, option.marker)
    assert plain.line == "-"
    assert option.line != "-"
    assert look("mine").colour.startswith("#")


def test_efficiency_has_a_band_and_a_line_for_each_searcher_best_first(ax: Axes) -> None:
    draw_accuracy(
        ax, GRID, BANDS, random=GRID / 2, references={"best cell": 94.0, "highest search metric": 93.9}
    )
    assert labels(ax) == ["evolution", "random", "evolution:population=50", "random search, exact"]
    assert len(ax.collections) == len(BANDS)
    assert all(line.get_drawstyle() == "steps-post" for line in ax.lines if str(line.get_label()) in BANDS), (
        "between two evaluations nothing is known"
    )
    assert ax.get_xscale() == "log"
    assert ax.get_ylim()[1] > 94.0
    named = {text.get_text(): text.get_verticalalignment() for text in ax.texts}
    assert named == {"best cell 94.00": "bottom", "highest search metric 93.90": "top"}


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
    assert [ax.get_title() for ax in axes] == ["top 1", "top 5"]
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


def test_the_noise_ceiling_is_a_line_in_every_figure_of_taus(ax: Axes) -> None:
    draw_taus(
        ax, [("kappa", 0.4, 0.3, 0.5), ("flops", 0.6, 0.5, 0.7)], ceiling=0.9, published={"kappa": 0.42}
    )
    assert any(list(np.asarray(line.get_xdata())) == [0.9, 0.9] for line in ax.lines)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["kappa", "flops"]
    other = Figure().add_subplot()
    frame = pd.DataFrame(
        {"surrogate": "mlp", "fitted": [32, 64], "mean": [0.3, 0.4], "low": [0.2, 0.3], "high": [0.4, 0.5]}
    )
    draw_sizes(other, frame, ceiling=0.9)
    assert labels(other) == ["mlp", "noise ceiling (two trainings)"]


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
