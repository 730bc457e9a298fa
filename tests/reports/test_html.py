"""Tables as HTML: a whole document that escapes, colours verdicts and keeps intervals in one line."""

import pandas as pd

from reports.claims import CONFIRMED, CONTRADICTED, NOT_RESOLVED
from reports.html import page


def test_a_page_stands_alone_in_light_and_dark():
    text = page(pd.DataFrame({"a": ["<1> & 2"]}), "Title & more", ["(1) a <note>"])
    assert text.startswith("<!DOCTYPE html>") and "<title>Title &amp; more - iLRM</title>" in text
    assert "prefers-color-scheme: dark" in text and "http" not in text
    assert "&lt;1&gt; &amp; 2" in text and "<p>(1) a &lt;note&gt;</p>" in text


def test_verdicts_have_colours():
    verdicts = [CONFIRMED, CONTRADICTED, NOT_RESOLVED]
    text = page(pd.DataFrame({"verdict": verdicts, "note": ["no", "yes", ""]}), "t", [])
    for kind, verdict in zip(("confirmed", "contradicted", "open"), verdicts, strict=True):
        (line,) = (line for line in text.splitlines() if f">{verdict}</td>" in line)
        assert f" {kind}" in line and text.count(f"td.{kind} ") == 1
    (line,) = (line for line in text.splitlines() if ">yes</td>" in line)
    assert "confirmed" not in line


def test_metrics_head_their_columns_and_numbers_stand_to_the_right():
    columns = {"method": ["a b"], "PSNR (dB), published": ["28.5"]}
    columns["PSNR (dB), measured"] = ["19.32 [18.75, 19.87] (1)"]
    text = page(pd.DataFrame(columns), "t", [])
    assert text.count("PSNR (dB)") == 1 and 'colspan="2"' in text
    assert "19.32 [18.75,\u00a019.87]\u00a0(1)</td>" in text
    (line,) = (line for line in text.splitlines() if ">28.5</td>" in line)
    assert " number" in line
