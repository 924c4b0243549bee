"""Image data sets, and the splits of them that NAS-Bench-201 trains and evaluates on.

Images are stored as bytes (N, 3, H, W). `augmented` and `crops` draw normalised batches from them with an explicit
random generator.
"""

from nasgauge.data.images.cifar10 import read_folder
from nasgauge.data.images.draws import augmented, crops
from nasgauge.data.images.image_set import DEVIATION, MEAN, ImageSet, ImagesUnavailable, Split
from nasgauge.data.images.made_up import made_up
from nasgauge.data.images.opening import SETS, open_images
from nasgauge.data.images.splits import DATASETS, Dataset, Splits, is_kept, open_splits

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
    "is_kept",
    "made_up",
    "open_images",
    "open_splits",
    "read_folder",
)
