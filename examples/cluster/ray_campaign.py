"""A campaign on a Ray cluster, or on a cluster of this machine's cores.

    python ray_campaign.py                          this machine
    python ray_campaign.py --address auto           the cluster that this node belongs to
    ray job submit --working-dir . -- python ray_campaign.py --address auto --out /shared/results

The results folder must be on a file system that all nodes share. Results have the same bytes as those of one process.
"""

import argparse

import nasgauge as ng


def main() -> None:
    """Read the options, run what is missing, and write the report."""
    parser = argparse.ArgumentParser(description="Run a campaign on Ray.")
    parser.add_argument("--address", default="", help="of a cluster, such as auto or 10.0.0.1:6379")
    parser.add_argument("--searchers", nargs="+", default=["random", "evolution", "local", "reinforce"])
    parser.add_argument("--dataset", nargs="+", default=None, help="all by default")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--budget", default="200")
    parser.add_argument("--out", default="results/ray")
    given = parser.parse_args()
    results = ng.bench(
        given.searchers,
        dataset=given.dataset,
        seeds=given.seeds,
        budget=given.budget,
        out=given.out,
        engine=f"ray,address={given.address}" if given.address else "ray",
    )
    results.report()


if __name__ == "__main__":
    main()
