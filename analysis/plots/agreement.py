"""Figures of how well proxies rank cells: intervals for each dataset, and tau against the settings of TE-NAS."""

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasgauge.analysis.results.names import dataset_name

_SHADES: Final = ("#777777", "#56B4E9", "#0072B2", "#332288")
_TAU, _BEYOND, _BEST, _GREY = "#0072B2", "#D55E00", "#009E73", "#777777"


def draw_agreement(figure: Figure, part: pd.DataFrame) -> None:
    """A panel for each dataset: tau of each proxy, given FLOPs and among the best 10 %, with intervals, best on top.

    `part`: rows of `chosen`, of which those of a single draw are drawn. Tau of FLOPs and of one training, which is the
    noise ceiling, are lines too.
    """
    part = part[part["draws"] == 1]
    datasets = list(dict.fromkeys(part["dataset"]))
    proxies = list(dict.fromkeys(part["proxy"]))
    axes = figure.subplots(1, len(datasets), sharex=True, sharey=True, squeeze=False)[0]
    for ax, dataset in zip(axes, datasets, strict=True):
        mine = part[part["dataset"] == dataset]
        for measure, colour, marker, shift, label in (
            ("tau", _TAU, "o", -0.24, "Kendall's tau"),
            ("tau_within_flops", _BEYOND, "D", 0.0, "at equal FLOPs"),
            ("tau_best_10", _BEST, "^", 0.24, "among the best 10 %"),
        ):
            rows = mine[mine["measure"] == measure].set_index("proxy").reindex(proxies)
            place = np.arange(len(proxies)) + shift
            known = rows["value"].notna().to_numpy()
            if not known.any():
                continue
            low, high, value = (
                rows[key].to_numpy(dtype=np.float64)[known] for key in ("low", "high", "value")
            )
            ax.hlines(place[known], low, high, color=colour, lw=1.4, alpha=0.55)
            ax.plot(value, place[known], ls="none", marker=marker, ms=3.2, color=colour, label=label)
        taus = mine[mine["measure"] == "tau"].set_index("proxy")["value"]
        for name, colour, dash, label in (
            ("flops", _GREY, "--", "tau of FLOPs"),
            ("one training", "black", ":", "noise ceiling"),
        ):
            if name in taus:
                ax.axvline(float(taus[name]), color=colour, lw=1, ls=dash, label=label)
        ax.axvline(0, color="#999999", lw=0.6)
        ax.set_title(dataset_name(dataset))
        ax.grid(visible=False, axis="y")
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(proxies)), proxies)
    axes[0].set_ylim(len(proxies) - 0.5, -0.6)
    figure.supxlabel("rank correlation with test accuracy", fontsize="medium")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))


def draw_settings(figure: Figure, frame: pd.DataFrame) -> None:
    """Tau against the size, a line for each number of averaged repeats: kappa on the left, regions on the right.

    `frame`: rows of `nasgauge.studies.settings.settings`; the first dataset is drawn.
    """
    mine = frame[frame["dataset"] == frame["dataset"].iloc[0]]
    axes = figure.subplots(1, 2, sharey=True)
    for ax, proxy, label in zip(axes, ("kappa", "regions"), ("images in a batch", "crops"), strict=True):
        part = mine[mine["proxy"] == proxy]
        numbers = sorted(part["averaged"].unique())
        for n, averaged in enumerate(numbers):
            rows = part[part["averaged"] == averaged].sort_values("size")
            x = rows["size"].to_numpy(dtype=np.float64) * 1.04 ** (n - (len(numbers) - 1) / 2)
            value, low, high = (rows[key].to_numpy(dtype=np.float64) for key in ("tau", "low", "high"))
            colour, marker = _SHADES[n % len(_SHADES)], "osD^v"[n % 5]
            ax.vlines(x, low, high, color=colour, lw=1.2, alpha=0.6)
            name = "one repeat" if averaged == 1 else f"mean of {averaged}"
            ax.plot(x, value, color=colour, marker=marker, ms=4, lw=1.3, label=name)
        ax.set_xscale("log")
        sizes = sorted(part["size"].unique())
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
        ax.minorticks_off()
        ax.set_xlabel(label)
        ax.set_title(proxy)
    axes[0].set_ylabel(f"Kendall's tau, {dataset_name(mine['dataset'].iloc[0])}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
