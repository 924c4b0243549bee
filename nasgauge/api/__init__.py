"""The public functions and classes that `nasgauge` exports, and what they share."""
