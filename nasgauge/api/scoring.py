"""Zero-cost proxies of cells, for the public API. It needs the extra `train`."""

from collections.abc import Iterable

import pandas as pd

from nasgauge.api.progress import progress_bar
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.errors import extras_explained


@extras_explained()
def score(
    cells: Cell | str | Iterable[Cell | str],
    *,
    proxies: str | Iterable[str] | None = None,
    draws: int = 1,
    images: str = "sample",
    device: str = "cpu",
    progress: bool = True,
) -> pd.DataFrame:
    """Score cells by zero-cost proxies; higher is better for every proxy.

    Each is computed on the network it was published for: the benchmark's (16 channels, 5 cells a stage, batch 64), and for
    `kappa` and `regions` the small ones of TE-NAS, with three repeats. All together take about 5 s a cell on one core.

    Parameters
    ----------
    cells
        One cell or several, as `Cell` or official text.
    proxies
        A name or several; all declared proxies by default.
    draws
        Draws of weights; each is combined with as many draws of the batch.
    images
        `"sample"` (512 CIFAR-10 images that ship with the package), `"cifar10"`, `"cifar100"`, `"ImageNet16-120"`, or a
        folder of published files; see `nasgauge.data.images.open_images`.

    Returns
    -------
    pandas.DataFrame
        One row for each cell, proxy and draw: `cell`, `proxy`, `weights` and `batch` (which draw of weights and of images),
        `value`, `reason` (why the value is NaN or infinite) and `seconds` (CPU seconds of the proxy alone).

    Raises
    ------
    nasgauge.NasgaugeError
        UnknownName for a proxy, InvalidCell, ImagesUnavailable.

    Examples
    --------
    >>> import nasgauge as ng
    >>> cell = "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    >>> ng.score(cell, proxies=["params", "naswot"], progress=False)["proxy"].tolist()
    ['naswot', 'params']
    """
    from nasgauge.data.images import open_images
    from nasgauge.harness.network.inputs import open_device
    from nasgauge.harness.proxies.registry import proxy_named
    from nasgauge.harness.proxies.score_files import Recipe, Score
    from nasgauge.harness.proxies.scores import Scorer

    names = [proxies] if isinstance(proxies, str) else proxies
    named = None if names is None else {name: proxy_named(name) for name in sorted(names)}
    several = (cells,) if isinstance(cells, (Cell, str)) else tuple(cells)
    parsed = [Cell.parse(cell) if isinstance(cell, str) else cell for cell in several]
    scorer = Scorer(Recipe(images=images, draws=draws), open_images(images), open_device(device), named)
    rows = []
    with progress_bar("cells", len(parsed), shown=progress) as bar:
        for cell in parsed:
            found = scorer.score(cell)
            rows += [{"cell": str(cell)} | one._asdict() for one in found]
            bar.advance(1)
    return pd.DataFrame(rows, columns=["cell", *Score._fields]).drop(columns="rank")
