"""Reading text: what stands after the end does not count, the order does."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.condition import encode_text
from maquette.nn.text import RUNS, TextEncoder, run_rows


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


def test_all_texts_are_as_loud():
    vectors = encoder()(read("a", "", "two dogs in", "rouge"))
    assert torch.allclose(vectors.mean(dim=1), torch.zeros(4), atol=1e-5)
    assert torch.allclose(vectors.square().mean(dim=1), torch.ones(4), atol=1e-2)


def test_gradients_are_finite_also_for_empty_texts():
    model = encoder().train()
    model(read("", "one"))[:, ::2].square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert model.bytes.weight.grad[ord("o")].any()
    assert not model.bytes.weight.grad[ord("z")].any()


@given(st.text(min_size=4, max_size=12), st.text(max_size=6), st.sampled_from(RUNS))
def test_a_run_of_bytes_has_the_same_row_wherever_it_stands(text, before, length):
    word = text.encode()[-length:]
    alone, later = (read(each, length=96)[0] for each in (text, before + text))
    ends = [int((each != 0).sum()) - 1 for each in (alone, later)]
    if (
        len(text.encode()) >= length
        and ends[1] < 95
        and bytes(later[ends[1] - length + 1 : ends[1] + 1].tolist()) == word
    ):
        rows = [run_rows(each[None], length)[0, end] for each, end in zip((alone, later), ends, strict=True)]
        assert rows[0] == rows[1]


def test_runs_seldom_share_a_row():
    words = [f"{a}{b}{c}xy"[:5] for a in "abcdefghij" for b in "abcdefghij" for c in "klmno"]
    for length in RUNS:
        rows = [int(run_rows(read(word[:length]), length)[0, length - 1]) for word in words]
        assert len(set(rows)) > 0.8 * len(set(word[:length] for word in words))
