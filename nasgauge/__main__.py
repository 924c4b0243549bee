"""`python -m nasgauge`, which `torchrun -m nasgauge` starts."""

from nasgauge.cli import main

if __name__ == "__main__":
    main()
