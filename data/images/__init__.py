"""Real images, and the benchmark's own splits of them.

Images are kept as the bytes they are (N, 3, H, W); what a study shows a network is drawn from them by
`augmented` and `crops`, on a device of choice and from a generator that is handed in.
"""

from nasgauge.data.images.cifar10 import SETS, open_images, read_folder
from nasgauge.data.images.draws import DEVIATION, MEAN, augmented, crops
from nasgauge.data.images.image_set import ImageSet, ImagesUnavailable, Split
from nasgauge.data.images.made_up import made_up
from nasgauge.data.images.splits import DATASETS, Dataset, Splits, open_splits

__all__ = (
    "DATASETS",
    "DEVIATION",
    "MEAN",
    "SETS",
    "Dataset",
    "ImageSet",
    "ImagesUnavailable",
    "Split",
    "Splits",
    "augmented",
    "crops",
    "made_up",
    "open_images",
    "open_splits",
    "read_folder",
)
