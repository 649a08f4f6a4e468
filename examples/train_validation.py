"""Split a data set into training and validation, train for a few epochs with a new order each time, then validate.

    python examples/train_validation.py [EPOCHS]

    digits ─► normalise ─► split ─┬─► shuffle ─► batch(32) ─► for batch in train: ...
                                  └─► batch(256) ─► for batch in validation: ...

Each outlet of ``split`` is a pipeline of its own: training reads its own while nobody reads the other. The work of the stages goes on in
their processes while the model learns in this one. Which side a digit is on depends on the digit alone, so it never changes sides.
"""

from __future__ import annotations

import sys
import zlib
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

from olympipe_ng import Pipeline

Array = np.ndarray[Any, Any]
VALIDATE_EVERY = 5


class Sample(NamedTuple):
    pixels: Array
    digit: int


def samples() -> list[Sample]:
    pixels, digits = load_digits(return_X_y=True)
    return [Sample(row, int(digit)) for row, digit in zip(pixels, digits, strict=True)]


def normalise(sample: Sample) -> Sample:
    pixels = sample.pixels - sample.pixels.mean()
    return Sample(pixels / (np.linalg.norm(pixels) or 1.0), sample.digit)


def is_for_validation(sample: Sample) -> bool:
    return zlib.crc32(sample.pixels.tobytes()) % VALIDATE_EVERY == 0


def to_train_or_validate(sample: Sample) -> tuple[Sample | None, Sample | None]:
    """Give the sample to one of the two outlets; ``None`` is nothing. The annotation says how many outlets there are."""
    return (None, sample) if is_for_validation(sample) else (sample, None)


def stack(batch: list[Sample]) -> tuple[Array, Array]:
    return np.stack([sample.pixels for sample in batch]), np.array([sample.digit for sample in batch])


class Outcome(NamedTuple):
    trained: int  # samples in one epoch
    validated: int
    orders: list[list[int]]  # the digits in the order of each epoch
    accuracy: float


def main(epochs: int = 3) -> Outcome:
    training, validation = Pipeline(samples(), name="digits").task(normalise).split(to_train_or_validate)
    train = training.shuffle().batch(32).task(stack)
    model, orders = SGDClassifier(random_state=0), []
    for epoch in range(epochs):
        order: list[int] = []
        for pixels, digits in train.options(seed=epoch):
            model.partial_fit(pixels, digits, classes=np.arange(10))
            order.extend(digits.tolist())
        orders.append(order)
        print(f"epoch {epoch}: trained on {len(order)} samples, the first are {order[:8]}")
    validated = right = 0
    for pixels, digits in validation.batch(256).task(stack):
        validated += len(digits)
        right += int((model.predict(pixels) == digits).sum())
    print(f"{right} of {validated} validation samples right: {right / validated:.1%}")
    return Outcome(len(orders[0]), validated, orders, right / validated)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
