import torch
from tiny_models import EXPERT_FAMILIES, tiny_model

from ifcurate.model.routing import Holding, Keeping, makes_choices
from ifcurate.model.token_loss import split


def test_what_was_chosen_is_chosen_again_and_its_scores_are_new():
    scores = torch.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, 6.0]])
    with Keeping() as kept:
        torch.topk(scores, 2, dim=-1)
        scores.topk(1, dim=0)
    with Holding(kept.choices):
        values, indices = torch.topk(-scores, 2, dim=-1)
        first = (-scores).topk(1, dim=0)
    assert indices.tolist() == [[1, 2], [2, 0]]
    assert values.tolist() == [[-3.0, -2.0], [-6.0, -5.0]]
    assert first.values.tolist() == [[-5.0, -4.0, -6.0]]


def test_only_mixtures_of_experts_choose():
    for family in (*EXPERT_FAMILIES, "llama", "gpt2"):
        body, _ = split(tiny_model(family))
        assert makes_choices(body, torch.device("cpu")) == (family in EXPERT_FAMILIES)
