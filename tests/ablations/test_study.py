"""Studies as data: the paper's, a user's own in ten lines, and what is wrong with a file in one line."""

import pytest

from ablations.side_by_side import cells_by_value
from ablations.study import MOST_SEEDS, SEEDS, StudyError, find_studies, read_study, studies
from ilrm.data.procedural.generation import RoomsConfig, evaluation_index
from ilrm.presets import run_config
from reports.published import rows_of

OWN = """
title = "Patch size"
claim = "Smaller patches are better"
varies = "patch"
values = [4, 2]
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "own.toml"
        path.write_text(text)
        return path

    return write


def test_every_ablation_of_the_paper_is_a_study():
    tables = {row.table for s in studies().values() for v in s.variants for row in rows_of(v)}
    assert tables >= {"1", "6", "7", "8", "9", "14", "17", "18"}
    assert {"layers", "components", "minibatch", "architecture", "resolution", "views"} <= set(
        studies()
    )


@pytest.mark.parametrize("scale", ["smoke", "tiny", "small", "paper"])
@pytest.mark.parametrize("name", studies())
def test_cells_are_runs_at_every_scale(name, scale):
    study = studies()[name]
    cells = study.cells(scale, 2)
    assert len(cells) == len({cell.run_name for cell in cells}) == 2 * len(study.variants)
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    for cell in cells:
        assert run_config(**cell.parameters) == cell.config and cell.config.train.seed == cell.seed


@pytest.mark.parametrize("scale", ["smoke", "tiny"])
@pytest.mark.parametrize("name", list(studies()))
def test_every_cell_can_be_evaluated_on_the_procedural_scenes(name, scale):
    """Its number of input views leaves frames to hold out."""
    for cell in studies()[name].cells(scale, 1):
        data = cell.config.evaluation_data
        rooms = RoomsConfig(frames=data.procedural_frames, test_scenes=2)
        for entry in evaluation_index(rooms, data.context_views).values():
            assert len(set(entry["context"]) - set(entry["target"])) == data.context_views


def test_every_row_of_a_variant_is_one_row_of_the_paper():
    for study in studies().values():
        for variant in study.variants:
            for row in rows_of(variant):
                metrics = row.entries().metric
                assert len(metrics) and metrics.is_unique, (study.name, variant.name, row)


def test_a_study_of_ones_own_takes_five_lines(write):
    study = read_study(write(OWN))
    assert [v.name for v in study.variants] == ["patch=4", "patch=2"]
    assert len(study.cells("tiny")) == 2 * SEEDS
    assert study.cells("tiny")[1].config.model.patch == 2
    assert find_studies([str(write(OWN))])[0] == study


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("varies = 'layers'\nvalues = [3", "own.toml is not valid TOML"),
        ("title = 'nothing'", "needs at least two variants"),
        ("varies = 'layers'\nvalues = [3]", "needs at least two variants"),
        ("varies = 'layer'\nvalues = [3, 6]", "unknown parameter 'layer'.*did you mean 'layers'"),
        ("varies = 'seed'\nvalues = [0, 7]", "seed cannot be a field of a study"),
        (
            "fields = {scale = 'small'}\nvaries = 'layers'\nvalues = [3, 6]",
            "scale cannot be a field",
        ),
        ("varies = 'layers'\nvalues = [3, 6]\n[scales.tinny]\nsteps = 3", "did you mean 'tiny'"),
        ("varies = 'layers'\nvalues = [3, 6]\n[scales]\ntiny = 3", "own.toml: "),
        ("vary = 'layers'", "unknown parameter 'vary'.*did you mean 'varies'"),
        ("[[variant]]\nname = 'a'\n[[variant]]\nname = 'a'", "two variants have the same name"),
        ("[[variant]]\nfields = {}", "has no name"),
        ("[[variant]]\nname = 'a'\nrow = []", "unknown parameter 'row'.*did you mean 'rows'"),
        ("title = 3\nvaries = 'layers'\nvalues = [3, 6]", "title is 3: give text"),
        ("title = 'a\\u0000b'\nvaries = 'layers'\nvalues = [3, 6]".replace("'", '"'), "printable"),
        ("variant = 3", "own.toml: variant is 3: give a list"),
        ("variant = ['a', 'b']", "a variant is 'a': give a table"),
        ("[[variant]]\nname = 1", "the name of a variant is 1: give text"),
        ("[[variant]]\nname = ['a']", r"the name of a variant is \['a'\]: give text"),
        ("[[variant]]\nname = ''", "has no name"),
        (f"[[variant]]\nname = '{'a' * 5000}'", "at most 1000 printable characters"),
        ("[[variant]]\nname = 'a'\nfields = 3", "fields of a is 3: give a table"),
        ("[[variant]]\nname = 'a'\nrows = [3]", "a row of a is 3: give a table"),
        ("varies = 'layers'\nvalues = '36'", "values is '36': give a list"),
        ("varies = ['layers']\nvalues = [3, 6]", r"varies is \['layers'\]: give text"),
        ("fields = 3\nvaries = 'layers'\nvalues = [3, 6]", "fields is 3: give a table"),
        ("varies = 'layers'\nvalues = [3, 6]\nscales = 3", "scales is 3: give a table"),
        ("version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(write, text, words):
    with pytest.raises(StudyError, match=words) as caught:
        read_study(write(text))
    assert "own.toml" in str(caught.value) and "\n" not in str(caught.value).strip()


def test_a_missing_study_names_the_nearest(tmp_path):
    with pytest.raises(StudyError, match="no study is named 'layer': did you mean 'layers'"):
        find_studies(["layer"])
    with pytest.raises(StudyError, match="cannot be read"):
        find_studies([str(tmp_path / "none.toml")])


def test_a_study_is_refused_at_the_scale_that_cannot_run_it(write):
    steps = read_study(write("varies = 'steps'\nvalues = [4, 8]"))
    assert len(steps.cells("smoke", 1)) == 2  # fewer than the steps of tiny's warm-up
    with pytest.raises(StudyError, match="study own, variant 'steps=4', scale tiny: warmup=50"):
        steps.cells("tiny")
    typed = read_study(write("varies = 'layers'\nvalues = [3, 'six']"))
    with pytest.raises(StudyError, match="variant 'layers=six', scale tiny: layers='six'"):
        typed.cells("tiny")
    same = read_study(write("[[variant]]\nname = 'a'\n[[variant]]\nname = 'b'"))
    with pytest.raises(StudyError, match="variant 'b', scale tiny is the same run as 'a'"):
        same.cells("tiny")


def test_two_studies_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.toml").write_text(OWN + f"paper = '{folder}'\n")
    paths = [str(tmp_path / folder / "own.toml") for folder in ("a", "b")]
    with pytest.raises(StudyError, match="another study is named own"):
        find_studies(paths)
    (tmp_path / "layers.toml").write_text(OWN)
    with pytest.raises(StudyError, match="another study is named layers"):
        find_studies([str(tmp_path / "layers.toml")])


def test_all_are_found_once():
    assert next(s.name for s in find_studies(["layers", "all"])) == "layers"
    assert len(find_studies(["all", "layers"])) == len(studies())


def test_more_seeds_than_are_recorded_are_refused():
    study = studies()["layers"]
    assert len(study.cells("smoke", MOST_SEEDS)) == MOST_SEEDS * len(study.variants)
    with pytest.raises(StudyError, match="study layers: 21 seeds are more .* at most 20"):
        study.cells("smoke", MOST_SEEDS + 1)
    with pytest.raises(StudyError, match="21 seeds are more"):
        cells_by_value(["layers"], "smoke", MOST_SEEDS + 1)


def test_the_hash_is_that_of_what_is_run(write):
    """Words do not count; what is run does, a preset and the number of steps among it."""
    hashed = read_study(write(OWN)).hash("tiny")
    for same in (OWN.replace("Smaller", "Larger"), "paper = 'Table 1'" + OWN, OWN + "# a comment"):
        assert read_study(write(same)).hash("tiny") == hashed
    for other in (
        OWN.replace("[4, 2]", "[4, 2, 1]"),
        OWN.replace("patch", "layers"),
        OWN + "fields = { lr = 1e-3 }",
        OWN + "scales.tiny = { steps = 600 }",
    ):
        assert read_study(write(other)).hash("tiny") != hashed, other
    assert read_study(write(OWN)).hash("smoke") != hashed
    assert read_study(write(OWN)).trained_for(600).hash("tiny") != hashed


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1" + "0" * 24, "1" + "0" * 5000])
def test_impossible_numbers_in_a_study_are_one_line(write, number):
    for field in ("steps", "lr", "procedural_seed"):
        with pytest.raises(StudyError) as caught:
            read_study(write(f"varies = '{field}'\nvalues = [1, {number}]")).cells("tiny")
        said = str(caught.value)
        assert field in said or "not valid TOML" in said
        assert "\n" not in said and len(said) < 600


def test_a_study_is_read_as_utf_8_whatever_the_locale(write, tmp_path):
    (tmp_path / "own.toml").write_bytes(
        "title = '3 \u2192 6 \u00e4'".encode() + OWN[OWN.index("claim") - 1 :].encode()
    )
    assert read_study(tmp_path / "own.toml").title == "3 \u2192 6 \u00e4"
    (tmp_path / "own.toml").write_bytes(OWN.encode() + b"# \xe4")
    with pytest.raises(StudyError, match="own.toml is not in UTF-8 .*: store it as UTF-8"):
        read_study(tmp_path / "own.toml")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_files_of_other_editors_and_systems(tmp_path, encoding, end):
    path = tmp_path / "OWN.TOML"
    path.write_bytes(OWN.replace("\n", end).encode(encoding))
    (study,) = find_studies([str(path)])
    assert len(study.variants) == 2
