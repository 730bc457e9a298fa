"""`python -m reports`: regenerate reports/output/ from the recorded runs in reports/runs/."""

from ilrm.files import atomic_path
from ilrm.paths import PROJECT
from ilrm.presets import run_config
from ilrm.runs import recorded_runs
from reports import figures, tables

OUTPUT = PROJECT / "reports" / "output"


def main() -> None:
    """Figures and the metrics table of the tiny scale's recorded base runs."""
    runs = recorded_runs(run_config("tiny"))
    longest = max(runs.values(), key=lambda run: run.config.train.steps)
    others = {name: run for name, run in runs.items() if run is not longest}
    for name, figure in {
        "base_learning_curve": figures.learning_curve(longest, runs.get("base")),
        "base_renders": figures.renders(longest),
    }.items():
        with atomic_path(OUTPUT / f"{name}.png") as beside:
            figure.savefig(beside, metadata={"Software": None})
    names = {run.folder: name for name, run in runs.items()}
    table = tables.metrics(longest, others).rename(index={"this run": names[longest.folder]})
    with atomic_path(OUTPUT / "base_metrics.md") as beside:
        beside.write_text(tables.markdown(table))


if __name__ == "__main__":
    main()
