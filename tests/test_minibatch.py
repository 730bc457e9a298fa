"""Token subsets: each token has its turn and its own image tokens, bad grids are refused."""

import pytest
import torch

from ilrm.errors import ViewsError
from ilrm.minibatch import image_tokens_under, random_subset, token_subset


@pytest.mark.parametrize("pattern", ["strided", "block"])
@pytest.mark.parametrize("r", [2, 4])
def test_r_layers_visit_every_token_once(pattern, r):
    visits = torch.cat([token_subset(4, 6, r, pattern, layer) for layer in range(r)])
    assert sorted(visits.tolist()) == list(range(24))
    assert torch.equal(token_subset(4, 6, r, pattern, 0), token_subset(4, 6, r, pattern, r))


def test_patterns_as_drawn():
    assert token_subset(2, 4, 2, "strided", 0).tolist() == [0, 2, 4, 6]
    assert token_subset(2, 4, 4, "strided", 3).tolist() == [5, 7]
    assert token_subset(2, 4, 2, "block", 1).tolist() == [2, 3, 6, 7]
    assert token_subset(4, 4, 4, "block", 2).tolist() == [8, 9, 12, 13]


def test_random_subsets_are_a_quarter_without_repetition():
    chosen = random_subset(4, 4, 4, torch.Generator().manual_seed(0))
    assert len(set(chosen.tolist())) == 4 and chosen.max() < 16


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_image_tokens_under_the_chosen_tokens_cover_the_same_patches(factor):
    chosen = token_subset(4, 6, 4, "strided", 3)
    under = image_tokens_under(chosen, 4, 6, factor)
    rows, columns = under // (6 * factor), under % (6 * factor)
    covering = (rows // factor) * 6 + columns // factor
    assert covering.tolist() == chosen.repeat_interleave(factor**2).tolist()
    assert len(set(under.tolist())) == len(chosen) * factor**2


def test_grids_that_cannot_be_divided_are_refused():
    with pytest.raises(ViewsError, match="3x4 token grid"):
        token_subset(3, 4, 4, "strided", 0)
    with pytest.raises(ViewsError, match="not a multiple"):
        random_subset(3, 3, 2, torch.Generator())
