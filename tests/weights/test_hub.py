"""Weights for the hub, without a network: what is written is what is read, and what would be uploaded."""

from pathlib import Path

import huggingface_hub
import pytest
import torch

from ilrm.errors import WeightsError
from ilrm.weights.hub import HubWeights, push_to_hub, save_pretrained
from ilrm.weights.spread import FILE as SPREAD
from ilrm.weights.state import CONFIG, FILE, read_weights
from ilrm.weights.training_ranges import FILE as SEEN


@pytest.fixture
def uploads(monkeypatch):
    """What is passed to the hub's client: {repo_id: (files, model card)}."""
    found = {}

    def create_repo(self, repo_id, **_):
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload_folder(self, repo_id, folder_path, **_):
        files = {path.name for path in Path(folder_path).iterdir()}
        found[repo_id] = (files, (Path(folder_path) / "README.md").read_text())
        return f"https://huggingface.co/{repo_id}/commit/1"

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    return found


def test_saved_weights_are_read_back_with_all_that_belongs_to_them(tmp_path):
    original = read_weights("ilrm-small")
    folder = save_pretrained("ilrm-small", tmp_path / "mine")
    assert {path.name for path in folder.iterdir()} == {FILE, CONFIG, SEEN, SPREAD, "README.md"}
    for again in (read_weights(folder), HubWeights.from_pretrained(str(folder)).weights):
        assert again.config == original.config and again.seen == original.seen
        for name, value in original.model.state_dict().items():
            assert torch.equal(again.model.state_dict()[name], value)


def test_the_model_card_says_what_it_is(tmp_path):
    card = (save_pretrained("ilrm-small", tmp_path / "mine") / "README.md").read_text()
    data = huggingface_hub.ModelCard(card).data
    assert data.license == "apache-2.0" and data.pipeline_tag == "image-to-3d"
    for words in (
        "# mine", "2507.23277", 'from_pretrained("mine")', "procedural scenes at 64x64", "width 256",
    ):  # fmt: skip
        assert words in card


def test_the_card_of_a_run_shows_its_metrics_beside_the_plane_warp(smoke_run, tmp_path):
    card = (save_pretrained(smoke_run.folder, tmp_path / "mine") / "README.md").read_text()
    for method, label in (("model", "model"), ("plane_warp", "plane warp")):
        value = smoke_run.metrics["summary"][method]["psnr"]["mean"]
        assert f"| {label} | {value:.2f}" in card


def test_the_card_of_weights_that_have_one_keeps_its_results_and_limitations(tmp_path):
    card = (save_pretrained("ilrm-small", tmp_path / "mine") / "README.md").read_text()
    assert (
        "| plane warp | " in card and "- A plane warp, which blends the inputs at one depth" in card
    )
    again = (save_pretrained(tmp_path / "mine", tmp_path / "again") / "README.md").read_text()
    assert again.partition("## Results")[2] == card.partition("## Results")[2]


def test_weights_alone_say_that_nothing_was_measured(tmp_path):
    folder = save_pretrained("ilrm-small", tmp_path / "mine")
    (folder / "README.md").unlink()
    card = (save_pretrained(folder, tmp_path / "again") / "README.md").read_text()
    assert "Nothing has been measured with these weights." in card


def test_what_is_pushed_is_the_same_folder(uploads):
    assert push_to_hub("ilrm-small", "me/mine").endswith("me/mine/commit/1")
    files, card = uploads["me/mine"]
    assert (
        files == {FILE, CONFIG, SEEN, SPREAD, "README.md"} and 'from_pretrained("me/mine")' in card
    )


def test_what_is_no_weights_is_one_line(tmp_path):
    with pytest.raises(WeightsError, match="is missing"):
        save_pretrained(tmp_path / "none", tmp_path / "out")
