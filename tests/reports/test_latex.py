"""Tables as LaTeX: they compile, they fit the page, they are split or rotated where they are wide."""

import re
import shutil
import subprocess

import pandas as pd
import pytest

from reports.latex import PACKAGES, PAGES, escaped, latex
from reports.write import OUTPUT

PDFLATEX = shutil.which("pdflatex")
NO_PDFLATEX = "no pdflatex: apt-get install texlive-latex-recommended"
MOST = 5.0  # pt, of an overfull box
TOO_LARGE = re.compile(
    r"Overfull \\[hv]box \((\d+\.\d+)pt too|Float too large for page by (\d+\.\d+)pt"
)

METRICS = ("PSNR (dB)", "SSIM", "LPIPS")
PARTS = ("published", "measured", "effect published", "effect measured")
CELLS = ("28.58", "19.39 [18.85, 19.93] (1)", "-0.66", "+0.08 [-1.06, +1.29]")


def table(rows=4, metrics=METRICS, **keys):
    cells = {f"{m}, {part}": cell for m in metrics for part, cell in zip(PARTS, CELLS, strict=True)}
    return pd.DataFrame([{"method": "w/o 50% & <more>", **keys, **cells}] * rows)


def compiled(folder, *texts):
    """The log of a document that has all of these tables."""
    for k, text in enumerate(texts):
        (folder / f"t{k}.tex").write_text(text)
    body = "\\clearpage\n".join(f"\\input{{t{k}}}\n" for k in range(len(texts)))
    head = f"\\documentclass{{article}}\\usepackage{{{','.join(PACKAGES)}}}\\begin{{document}}\n"
    (folder / "all.tex").write_text(f"{head}{body}\\end{{document}}\n")
    line = [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(line, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    return done.stdout.decode(errors="replace")


def too_large(log):
    return [float(a or b) for a, b in TOO_LARGE.findall(log) if float(a or b) > MOST]


@pytest.mark.skipif(PDFLATEX is None, reason=NO_PDFLATEX)
def test_every_committed_table_compiles_and_fits(tmp_path):
    files = sorted(OUTPUT.glob("[!.]*/*.tex"))
    log = compiled(tmp_path, *(file.read_text() for file in files))
    assert len(files) > 15 and not too_large(log)


@pytest.mark.skipif(PDFLATEX is None, reason=NO_PDFLATEX)
def test_wide_tall_and_noted_tables_fit(tmp_path):
    data = "re10k, equal Gaussian count; trained on one GPU; time and memory of Gaussian generation only"
    notes = [
        f"({k}) a note of many words, for example <this> & that, 50% of {data}" for k in range(9)
    ]
    log = compiled(
        tmp_path,
        latex(table(), "Wide", "tab:wide", notes),
        latex(table(60), "Tall", "tab:tall", notes),
        latex(table(9, data=data), "With long text", "tab:text", notes),
        latex(pd.DataFrame({"name": ["a"], "value": ["1.5"]}), "Small", "tab:small", []),
    )
    assert not too_large(log)


def test_a_wide_table_is_split_by_metrics_with_one_caption_and_label():
    text = latex(table(), "A caption", "tab:wide", ["(1) a note"])
    assert (
        text.count(r"\begin{tabular}{l")
        == len(METRICS)
        == text.count("w/o 50\\% \\& $<$more$>$") / 4
    )
    assert text.count(r"\label{tab:wide}") == 1 == text.count(r"\caption{A caption}")
    assert all(text.count(rf"\multicolumn{{4}}{{c}}{{{name}}}") == 1 for name in METRICS)
    assert text.rstrip().endswith(
        rf"\end{{{PAGES[0].environment}}}"
    )  # notes are inside, in their size
    assert text.count("(1) a note") == 1 and r"19.39\rlap{\textsuperscript{1}}" in text


def test_a_tall_table_goes_on_in_another_float_of_the_same_number():
    text = latex(table(60), "A caption", "tab:tall", [])
    floats = text.count(r"\caption{")
    assert floats > 1 and text.count(r"\addtocounter{table}{-1}") == floats - 1
    assert text.count("w/o 50") == 60 * len(METRICS)


def test_numbers_stand_to_the_right_and_text_to_the_left():
    shown = pd.DataFrame(
        {"method": ["a"], "note": ["some words"], "value": ["-1.5 (2)"], "n": ["n/a"]}
    )
    text = latex(shown, "A caption", "tab:t", [])
    assert r"\begin{tabular}{llrr}" in text and r"$-$1.5\rlap{\textsuperscript{2}} & n/a" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50% & a_b #1", r"50\% \& a\_b \#1"),
        ("effect > 0, < 0.5", "effect $>$ 0, $<$ 0.5"),
        ("[-1.06, +1.29]", "[$-$1.06, +1.29]"),
        ("2026-11-26, LR-init, 1e-3", "2026-11-26, LR-init, 1e-3"),
        (r"\{x}^2~$", r"\textbackslash{}\{x\}\textasciicircum{}2\textasciitilde{}\$"),
    ],
)
def test_nothing_has_a_meaning_for_latex(text, expected):
    assert escaped(text) == expected
