"""Text files are UTF-8 and commands print, whatever the locale."""

import ast
import os
import subprocess
import sys

import pytest
import torch

from ilrm.system.paths import PROJECT
from tests.weights.test_released import released

SOURCES = sorted(
    path
    for folder in ("ilrm", "ablations", "reports", "benchmarks", "scripts")
    for path in (PROJECT / folder).rglob("*.py")
)
TEXT = {"read_text", "write_text", "open"}
TITLE = "3 \N{RIGHTWARDS ARROW} 6 \N{LATIN SMALL LETTER A WITH DIAERESIS}"

# everything a command reads and writes itself, with a warning of Python for each file without an encoding
SCRIPT = """
import sys, warnings
from pathlib import Path
warnings.filterwarnings("error", category=EncodingWarning, module="(ilrm|ablations|reports)\\\\b")
import pandas as pd
from ablations.__main__ import main
from ablations.record import collect, record
from ablations.study import read_study
from ablations.sweep import find_sweep
from ilrm.presets import run_config
from ilrm.runs.store import write_csv
from ilrm.runs.training_runs import perform_run
from ilrm.system.files import file_name, write_json
from ilrm.system.tables import read_table
from reports import model_card, readme, regenerate
from reports.claims import claims
from reports.published import published
from reports.write import Writer
folder, title = Path(sys.argv[1]), ascii_title
assert sys.getfilesystemencoding() != "utf-8" and sys.stdout.encoding.lower() != "utf-8"
assert read_study(folder / "own.toml").title == title
assert find_sweep(str(folder / "search.toml")).title == title
assert main(["list", str(folder / "own.toml")]) == 0
table = pd.DataFrame({"scene": [title], "psnr": [1.5]})
for check in (False, True):
    with Writer(folder / "out", check, ["html"]) as writer:
        writer.table("t", table, [title], caption=title)
    assert not writer.stale
write_csv(folder / "t.csv", table)
assert read_table(folder / "t.csv").scene[0] == title
write_json(folder / "t.json", {"title": title})
(folder / (file_name(title) + ".txt")).touch()
run = perform_run(run_config("smoke"), store=folder / "runs", show_progress=False)
assert len(run.per_view) and len(run.history) and run.about and run.environment and run.model()
assert claims() and len(published()) and readme.base_text and model_card.model_card("ilrm-small")
"""


def _modes(call):
    """The mode of a call of open, or "r"."""
    given = [*call.args, *(k.value for k in call.keywords if k.arg == "mode")]
    texts = [v.value for v in given if isinstance(v, ast.Constant) and isinstance(v.value, str)]
    return next((text for text in texts if set(text) <= set("rwabx+t")), None)


def _without_encoding(path):
    """Lines that read or write text in the encoding of the locale."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        words = {keyword.arg for keyword in node.keywords}
        if "text" in words or "universal_newlines" in words:
            if "encoding" not in words:
                yield node.lineno
            continue
        method = isinstance(node.func, ast.Attribute)
        name = node.func.attr if method else getattr(node.func, "id", "")
        if name not in TEXT or "encoding" in words:
            continue
        mode = _modes(node)
        if (
            name != "open"
            or (mode is not None and "b" not in mode)
            or (mode is None and not method)
        ):
            yield node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PROJECT)))
def test_text_is_read_and_written_with_its_encoding(path):
    assert not list(_without_encoding(path)), "give encoding='utf-8'"


@pytest.mark.parametrize("start", [["-m", "ilrm.convert"], ["-m", "ilrm", "convert"], ["-I"]])
def test_commands_find_files_of_any_name_in_a_locale_that_is_not_utf_8(start, tmp_path):
    """Also where a library opens them, which is given the path as text: torch here."""
    folder = tmp_path / "\N{LATIN SMALL LETTER A WITH DIAERESIS}"
    folder.mkdir()
    torch.save({"state_dict": released("wide", width=16)}, folder / "a.ckpt")
    if start == ["-I"]:  # as the console script is started by some installers
        script = tmp_path / "ilrm"
        script.write_text("import sys; from ilrm.__main__ import main; sys.exit(main())")
        start = [str(script), "convert"]
    other = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment = {**os.environ, **other, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, *start, str(folder / "a.ckpt"), "--out", str(folder / "out")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    assert list((folder / "out").glob("*/model.safetensors"))
    assert b"/\\xe4/out/" in done.stdout  # printed in the encoding of the locale


@pytest.mark.timeout(300)
@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_files_are_utf_8_and_commands_print_in_a_locale_that_is_not(locale, tmp_path):
    (tmp_path / "own.toml").write_text(
        f"title = '{TITLE}'\nclaim = '{TITLE}'\n[[variant]]\nname = '{TITLE}'\n"
        "[[variant]]\nname = 'b'\nfields = {layers = 2}",
        encoding="utf-8",
    )
    (tmp_path / "search.toml").write_text(
        f"title = '{TITLE}'\n[space]\nlayers = {{low = 1, high = 2}}", encoding="utf-8"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    environment = {
        **plain,
        "LC_ALL": locale,
        "LANG": locale,
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    script = SCRIPT.replace("ascii_title", ascii(TITLE))
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", script, str(tmp_path)],
        env=environment,
        cwd=PROJECT,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    assert b"3 \\u2192 6" in done.stdout
    assert TITLE in (tmp_path / "out" / "t.md").read_text(encoding="utf-8")
