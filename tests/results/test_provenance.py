"""What is recorded of how a run was made."""

import re

from svl.results.provenance import provenance


def test_provenance_names_the_command_and_what_ran_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = provenance(["fit", "--replicas.vary.data.size", "[4096, online]"])
    assert found["command"] == "svl fit --replicas.vary.data.size '[4096, online]'"
    assert found["git_commit"] is None and found["git_dirty"] is False
    assert re.fullmatch("[0-9a-f]{40}", found["svl_commit"])  # the tests run in a checkout
    assert set(found["versions"]) == {"svl", "python", "torch", "lightning", "numpy"}
