"""What svl expects of W&B: a workspace and a report are data before they are sent; a run starts without W&B Launch."""

import subprocess
import sys

import pytest
import yaml

from svl.compat.wandb import as_data


@pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")
def test_a_workspace_and_a_report_are_plain_data():
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    plot = wr.LinePlot(title="curve", x="samples", metric_regex="^loss$")
    workspace = ws.Workspace(
        entity="team", project="svl", name="experiment", sections=[ws.Section(name="Figure", panels=[plot])]
    )
    report = wr.Report(entity="team", project="svl", title="a report", blocks=[wr.H1(text="heading")])
    for view, words in ((workspace, ("experiment", "Figure", "^loss$")), (report, ("a report", "heading"))):
        text = yaml.safe_dump(as_data(view))
        assert all(word in text for word in words)


@pytest.mark.slow
def test_a_run_starts_without_launch(tmp_path):
    code = """
import sys
import wandb
from svl.compat.wandb import without_launch
with without_launch():
    run = wandb.init(mode="offline", dir=sys.argv[1], settings=wandb.Settings(silent=True, console="off"))
assert "wandb.sdk.launch" not in sys.modules
run.log({"loss": 1.0})
run.finish()
import wandb.sdk.launch
with without_launch():
    wandb.init(mode="offline", dir=sys.argv[1], settings=wandb.Settings(silent=True, console="off")).finish()
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=300)
