"""A student's learning: the same steps in the same order, whether it is stopped on the way or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from ifcurate.distilling.examples import ScoredWindows
from ifcurate.distilling.losses import distillation_loss
from ifcurate.distilling.state import State, load_state, save_state
from ifcurate.errors import InputError
from ifcurate.influence.quantile_map import QuantileMap
from ifcurate.influence.student import body_of, new_head, own_tokens
from ifcurate.model.windows import Window, bucket_by_length, collate
from ifcurate.progress import track

TOP = 0.02
"""Share of the tokens that pairs set before all others: what is selected by default."""
POOL = 32
"""Steps whose windows are sorted by length together, so that little is padded."""
WARMUP, LEAST_RATE = 0.05, 0.05
"""Share of the steps in which the learning rate rises, and of its peak where a cosine ends."""
BETAS, WEIGHT_DECAY, MOST_GRADIENT = (0.9, 0.98), 0.01, 1.0


@dataclass(frozen=True)
class Course:
    """How a student learns.

    Attributes:
        epochs: passes over the windows.
        learning_rate: its peak.
        tokens_per_step: positions of a step, padding included.
        save_steps: steps between two states on disk.
        seed: of the order of the windows.
    """

    epochs: int
    learning_rate: float
    tokens_per_step: int
    save_steps: int
    seed: int


class Pupil:
    """A model and its head while they learn; the model is in evaluation mode all along, so nothing is random.

    Args:
        model: on its device, in float32; its blocks and embedding are changed in place.
        start: id of a start token, which pads.
    """

    def __init__(self, model: PreTrainedModel, start: int) -> None:
        self.model, self.head = model.eval(), new_head(model)
        self._start = start
        self._body = body_of(model)
        self.weights: dict[str, nn.Parameter] = {
            **{f"body.{name}": parameter for name, parameter in model.base_model.named_parameters()},
            **{f"head.{name}": parameter for name, parameter in self.head.named_parameters()},
        }
        model.requires_grad_(False)
        for parameter in self.weights.values():
            parameter.requires_grad_(True)

    def says(self, windows: Sequence[Window]) -> torch.Tensor:
        """What the head says of the tokens of `windows` that carry a loss: [tokens], window by window."""
        batch = collate(windows, self._start).to(str(self.model.device))
        said: torch.Tensor = self.head(self._body(own_tokens(batch))[batch.mask])[:, 0]
        return said

    @torch.no_grad()
    def of(self, scored: ScoredWindows, positions: int) -> NDArray[np.float32]:
        """What the head says of all tokens in the order of `ScoredWindows.scored`."""
        pieces: dict[int, NDArray[np.float32]] = {}
        for group in bucket_by_length([len(window) for window in scored.windows], positions):
            chosen = [scored.windows[index] for index in group]
            ends = np.cumsum([window.losses for window in chosen])
            pieces |= zip(group, np.split(self.says(chosen).cpu().numpy(), ends[:-1]), strict=True)
        return np.concatenate([np.zeros(0, np.float32), *(pieces[index] for index in range(len(scored.windows)))])


def learn(pupil: Pupil, scored: ScoredWindows, course: Course, unfinished: Path, identity: str) -> int:
    """Learn the influence of every token, turned into a standard normal one by its rank; returns the steps made.

    Args:
        pupil: changed in place.
        scored: what is learnt.
        course: how.
        unfinished: file of the state, from which a call that was stopped goes on.
        identity: what tells this learning from others.

    Raises:
        InputError: there is nothing to learn, or it diverges.
    """
    scale = normal_scale(scored.scored())
    top = NormalDist().inv_cdf(1 - TOP)
    optimizer = torch.optim.AdamW(pupil.weights.values(), course.learning_rate, BETAS, weight_decay=WEIGHT_DECAY)
    state = load_state(unfinished, identity)
    if state is not None:
        _restore(pupil, optimizer, state)
    step, epoch, done = (0, 0, 0) if state is None else (state.step, state.epoch, state.step_of_epoch)
    with track("distil", course.epochs * scored.tokens) as tracker:
        while epoch < course.epochs:
            batches = list(_batches(scored.windows, course, epoch))
            for number, group in enumerate(batches[done:], done):
                optimizer.param_groups[0]["lr"] = course.learning_rate * _share_of_rate(
                    (epoch + (number + 0.5) / len(batches)) / course.epochs
                )
                windows = [scored.windows[index] for index in group]
                targets = scale.of(np.concatenate([scored.of(window) for window in windows]))
                _step(pupil, optimizer, windows, torch.from_numpy(targets), top)
                step += 1
                if step % course.save_steps == 0:
                    save_state(_state(pupil, optimizer, step, epoch, number + 1), identity, unfinished)
                tokens = round((epoch + (number + 1) / len(batches)) * scored.tokens)
                tracker.update(tokens, tokens)
            epoch, done = epoch + 1, 0
    save_state(_state(pupil, optimizer, step, epoch, 0), identity, unfinished)
    return step


def normal_scale(influence: NDArray[np.float32]) -> QuantileMap:
    """From influence, whose tails are heavy, to a standard normal distribution of the same order.

    Raises:
        InputError: there is no influence, or it is all the same.
    """
    try:
        return QuantileMap.to_normal(influence)
    except ValueError as error:
        raise InputError(
            f"the run has {len(influence):,} scored tokens to learn from, and no two different ones; score more of "
            "the corpus."
        ) from error


def _step(
    pupil: Pupil,
    optimizer: torch.optim.Optimizer,
    windows: Sequence[Window],
    targets: torch.Tensor,
    top: float,
) -> None:
    said = pupil.says(windows)
    loss = distillation_loss(said, targets.to(said.device, said.dtype), top)
    if not bool(loss.isfinite()):
        raise InputError("the student diverges, its loss is NaN or infinite; lower --learning-rate.")
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(pupil.weights.values(), MOST_GRADIENT)
    optimizer.step()


def _batches(windows: Sequence[Window], course: Course, epoch: int) -> Iterator[list[int]]:
    """Numbers of the windows of each step of an epoch: a shuffle, of which neighbours are sorted by length."""
    generator = np.random.default_rng([course.seed, epoch])
    order = generator.permutation(len(windows))
    ends = np.cumsum([len(windows[index]) for index in order])
    pools = np.split(order, np.flatnonzero(np.diff(ends // (POOL * course.tokens_per_step))) + 1)
    for pool in pools:
        groups = bucket_by_length([len(windows[index]) for index in pool], course.tokens_per_step)
        for number in generator.permutation(len(groups)):
            yield [int(pool[index]) for index in groups[number]]


def _share_of_rate(progress: float) -> float:
    """Of the peak, at `progress` from 0 to 1: a linear rise, then half a cosine."""
    if progress < WARMUP:
        return progress / WARMUP
    fallen = (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP))) / 2
    return LEAST_RATE + (1 - LEAST_RATE) * fallen


def _state(pupil: Pupil, optimizer: torch.optim.Optimizer, step: int, epoch: int, step_of_epoch: int) -> State:
    moments = {
        name: (optimizer.state[parameter]["exp_avg"], optimizer.state[parameter]["exp_avg_sq"])
        for name, parameter in pupil.weights.items()
        if parameter in optimizer.state
    }
    return State(dict(pupil.weights), moments, step, epoch, step_of_epoch)


@torch.no_grad()
def _restore(pupil: Pupil, optimizer: torch.optim.Optimizer, state: State) -> None:
    for name, parameter in pupil.weights.items():
        parameter.copy_(state.weights[name])
        if name in state.moments:
            mean, square = (moment.to(parameter.device) for moment in state.moments[name])
            optimizer.state[parameter] = {
                "step": torch.tensor(float(state.step)),
                "exp_avg": mean,
                "exp_avg_sq": square,
            }
