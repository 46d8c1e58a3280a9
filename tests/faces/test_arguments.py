"""Whatever is typed becomes a request or one sentence, for every verb that is there."""

from hypothesis import given
from hypothesis import strategies as st

from maquette.core.errors import MaquetteError, UsageError
from maquette.faces import arguments
from maquette.operations import operation as table

VERBS = [verb for verbs in table.grouped().values() for verb in verbs]
OPTIONS = sorted({f"--{setting.option}" for verb in VERBS for setting in table.get(verb).settings})
VALUES = ["", "-", "--", "-1", "0", "1e9", "nan", "64", "a=b", "a,b", "=", "--x=1", "-x", "\udcff", "10m", "yes"]
words = st.lists(st.sampled_from(OPTIONS) | st.sampled_from(VALUES) | st.text(max_size=4), max_size=6)


@given(st.sampled_from(VERBS), words)
def test_any_words_become_a_request_or_a_sentence(verb, typed):
    operation = table.get(verb)
    try:
        request = operation.read(arguments.parse(operation, typed).values)
    except UsageError as error:
        assert str(error).endswith(".")
    else:
        assert isinstance(request, operation.request)


@given(words)
def test_any_words_without_a_verb_are_read_or_refused(typed):
    verb, rest = arguments.verb_of(typed)
    try:
        assert verb is None or len(rest) == len(typed) - 1
        if verb is None:
            arguments.parse_common(rest)
    except MaquetteError as error:
        assert str(error).endswith(".")


@given(st.sampled_from(VERBS), st.data())
def test_what_is_typed_reaches_the_request(verb, data):
    """For every option that takes a word: typed as two words or as one, it is the same."""
    operation = table.get(verb)
    options = [s for s in operation.settings if s.place == "option" and s.kind != "switch"]
    if not options:
        return
    setting = data.draw(st.sampled_from(options))
    word = data.draw(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: not text.startswith("-")))
    apart = arguments.parse(operation, [f"--{setting.option}", word]).values
    together = arguments.parse(operation, [f"--{setting.option}={word}"]).values
    assert apart == together
    if setting.kind != "list" or setting.repeat:
        assert apart == {setting.name: [word] if setting.kind == "list" else word}


def test_no_verb_has_a_setting_that_the_options_of_every_verb_take_away():
    for verb in VERBS:
        operation = table.get(verb)
        first = next((setting.name for setting in operation.settings if setting.place == "argument"), None)
        if first is not None:
            command = arguments.parse(operation, ["--values", "f.json", "word"])
            assert first in command.values and command.values_file == "f.json"
