"""The trade-off figure shows every measured point, and what it was measured on."""

import json

import pandas as pd

from reports.figures import tradeoff_figures


def test_a_figure_a_record(tmp_path, monkeypatch):
    folder = tmp_path / "room-4v-32x32"
    folder.mkdir()
    points = [("ilrm", 0, 0.01, 15.0), ("ilrm", 10, 0.1, 15.5), ("ilrm", 20, 0.2, 15.8)]
    points += [("3d-gs", 10, 0.1, 11.0), ("3d-gs", 3000, 30.0, 18.0)]
    points += [("splat", 10, 0.2, 16.0), ("splat", 3000, 31.0, 19.0)]
    rivals = [("plane_warp", 0, None, 17.0), ("plane_sweep", 0, None, 17.5)]
    rows = pd.DataFrame(points + rivals, columns=["method", "steps", "seconds", "psnr"])
    rows.assign(gaussians=1024).to_csv(folder / "rows.csv", index=False)
    about = {"capture": "room", "views": 4, "size": "32x32", "targets": 3}
    about["splat_start"] = "the prediction"
    (folder / "about.json").write_text(json.dumps(about | {"environment": {"device": "a CPU"}}))
    monkeypatch.setattr(tradeoff_figures, "TRADEOFFS", tmp_path)
    figures = tradeoff_figures.tradeoff_figures()
    assert list(figures) == ["tradeoff_room-4v-32x32"]
    (axes,) = figures["tradeoff_room-4v-32x32"].axes  # no LPIPS was measured
    drawn = {tuple(xy) for line in axes.lines for xy in line.get_xydata()}
    assert drawn >= {(seconds, psnr) for _, _, seconds, psnr in points}
    levels = [line for line in axes.lines if len(set(line.get_ydata())) == 1]
    assert {line.get_ydata()[0] for line in levels} == {17.0, 17.5}
    (legend,) = figures["tradeoff_room-4v-32x32"].legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert "3D-GS from the prediction (1,024 Gaussians)" in labels and "plane warp" in labels
    assert [text.get_text() for text in axes.texts] == ["zero-shot", "+10", "+20"]
    assert (
        "room: 4 input views of 32x32, 3 held out; a CPU"
        in figures["tradeoff_room-4v-32x32"].get_suptitle()
    )
