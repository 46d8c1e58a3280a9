"""Reading text: what stands after the end does not count, the order does."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.condition import encode_text
from maquette.nn.text import TextEncoder


def encoder():
    torch.manual_seed(0)
    return TextEncoder(16)


def read(*texts, length=12):
    """Texts as a batch of bytes."""
    return torch.stack([torch.from_numpy(encode_text(text, length)).long() for text in texts])


@given(st.text(min_size=1, max_size=6), st.integers(24, 40))
def test_the_room_after_a_text_does_not_matter(text, length):
    model = encoder()
    short, long = model(read(text, length=24)), model(read(text, length=length))
    assert torch.allclose(short, long, atol=1e-6)


def test_training_reads_as_sampling_does():
    model = encoder()
    batch = read("a cat", "", "two dogs")
    assert torch.allclose(model.train()(batch), model.eval()(batch), atol=1e-6)
    assert torch.allclose(model.train()(read("", "")), model.eval()(read("", "")), atol=1e-6)


def test_texts_differ_in_words_and_order():
    vectors = encoder().eval()(read("red blue", "blue red", "red", "", "rouge"))
    distance = torch.cdist(vectors, vectors) + 9 * torch.eye(5)
    assert distance.min() > 1e-3


def test_gradients_are_finite_also_for_empty_texts():
    model = encoder().train()
    model(read("", "one")).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert model.bytes.weight.grad[ord("o")].any()
    assert not model.bytes.weight.grad[ord("z")].any()
