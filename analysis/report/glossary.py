"""The terms of the report page; `docs/glossary.md` has these and others at greater length."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

GLOSSARY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "search metric": "The accuracy that a searcher observes at each query, as one training would show it.",
        "reported accuracy": "The accuracy by which results are compared, a test accuracy; a searcher never observes it.",
        "incumbent": "The evaluated cell with the highest search metric so far.",
        "smoothed cell": "The evaluated cell with the highest posterior mean of a Gaussian process over all evaluations "
        "of its run; a rule applied afterwards to every searcher alike.",
        "regret": "Percentage points between the reported accuracy of a cell and that of the table's best cell.",
        "n": "Number of independent runs (seeds) of a searcher. A run that does not exist is not counted.",
        "cost axis": "The horizontal axis of a curve: queries, training epochs, simulated GPU seconds, or seconds of the "
        "searcher itself.",
        "fidelity": "The training length behind an accuracy: 12 is a run of 12 epochs with its own learning-rate "
        "schedule, 200@12 is epoch 12 of a run of 200.",
        "equivalent random-search queries": "The queries after which exact random search has the same mean accuracy.",
        "probability of improvement": "The probability that a run of one searcher ends higher than a run of another, a "
        "tie counting half (Vargha-Delaney A12); 0.5 means no difference.",
        "normalised score": "Reported accuracy scaled so that a random cell has 0 on average and the best cell 1.",
        "structural class (unique architecture)": "Cells that compute the same function and share a canonical text; the "
        "15,625 cells of NAS-Bench-201 form 6,466 of them.",
        "NTK condition number kappa": "Largest over smallest eigenvalue of the neural tangent kernel of an untrained "
        "network on a batch of images; lower is better.",
        "number of linear regions": "Distinct ReLU activation patterns of an untrained network over a set of inputs; "
        "higher is better.",
        "retraining check": "Cells trained here with the benchmark's recipe, compared with the table, with intervals for "
        "the noise of training.",
    }
)
"""Each in a sentence or two, in the order in which a reader meets them."""
