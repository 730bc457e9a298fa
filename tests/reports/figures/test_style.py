"""The common style: numbers on logarithmic axes are written out."""

import matplotlib.pyplot as plt

from reports.figures import style


def test_logarithmic_axes_have_round_numbers_and_no_powers_of_ten():
    style.use()
    figure, axes = plt.subplots()
    plt.close(figure)
    axes.set_xscale("log")
    axes.set_xlim(0.25, 12)
    style.label_ticks(axes.xaxis, style.round_numbers(*axes.get_xlim()))
    figure.canvas.draw()
    shown = [text.get_text() for text in axes.get_xticklabels()]
    assert shown == ["0.3", "0.5", "0.7", "1", "2", "3", "5", "7", "10"]
    assert not [text for text in axes.get_xticklabels(minor=True) if text.get_text()]
    style.label_ticks(axes.xaxis, [750, 12_000], "{:,}")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["750", "12,000"]
