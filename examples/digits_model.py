"""Classify batches with a model that each worker loads once, and keep a running tally in a stage with a memory.

    python examples/digits_model.py [NUMBER_OF_PICTURES]

    pictures ─► batch(64) ─► model (2 workers, each with its own) ─► one by one again ─► tally

``class_task`` constructs the instance in the worker, never pickles it, and closes it at the end. The model is stateless towards the
pictures, so a worker that dies may be replaced; the tally accumulates, so it says ``stateful=True``: its death would fail the run rather
than give a wrong count.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from olympipe_ng import Pipeline

Array = np.ndarray[Any, Any]


class Picture(NamedTuple):
    pixels: Array  # 64 values from 0 to 16: 8 rows of 8
    digit: int  # what it shows, for the tally


class Seen(NamedTuple):
    digit: int
    predicted: int


def train(path: Path) -> None:
    """Train on the first 1 000 digits and write the weights to a file."""
    pixels, digits = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(pixels[:1000] / 16, digits[:1000])
    np.savez(path, weights=model.coef_, bias=model.intercept_)


def pictures(number: int) -> Iterator[Picture]:
    """Yield digits that the model has not seen, over again with a little noise when they run out."""
    pixels, digits = load_digits(return_X_y=True)
    unseen = len(digits) - 1000
    chance = np.random.default_rng(number)
    for index in range(number):
        noise = chance.normal(0, 1, 64) if index >= unseen else 0
        yield Picture(pixels[1000 + index % unseen] + noise, int(digits[1000 + index % unseen]))


class Model:
    """Reads its weights in the worker that uses them: nothing heavy travels."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.weights, self.bias = file["weights"], file["bias"]

    def predict(self, batch: list[Picture]) -> list[Seen]:
        pixels = np.stack([picture.pixels for picture in batch]) / 16
        best = (pixels @ self.weights.T + self.bias).argmax(axis=1)
        return [Seen(picture.digit, int(predicted)) for picture, predicted in zip(batch, best, strict=True)]


class Tally:
    """Counts right answers so far."""

    def __init__(self) -> None:
        self.seen = self.right = 0

    def add(self, one: Seen) -> tuple[Seen, float]:
        self.seen += 1
        self.right += one.digit == one.predicted
        return one, self.right / self.seen

    def close(self) -> None:
        print(f"tally: {self.right} of {self.seen} right")  # a worker's print reaches your terminal


def classify(number: int, weights: Path) -> list[tuple[Seen, float]]:
    return (
        Pipeline(partial(pictures, number), name="digits", total=number)
        .batch(64)
        .class_task(Model, Model.predict, [weights], count=2)
        .explode()
        .class_task(Tally, Tally.add, close_method=Tally.close, stateful=True)
        .wait_for_result()
    )


def main(number: int = 5000) -> list[tuple[Seen, float]]:
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.npz"
        train(weights)
        answers = classify(number, weights)
    print(f"{len(answers)} pictures classified, {answers[-1][1]:.1%} right")
    return answers


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
