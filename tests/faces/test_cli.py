"""The command line: what it prints where, how it ends, and what it never loads."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import maquette
from maquette.faces import help
from maquette.faces.cli import main
from maquette.operations import operation as table


def run(capsys, *words):
    """Exit code, lines on standard output, text on standard error."""
    code = main(words)
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def command(*words, **more):
    return subprocess.run(
        [sys.executable, "-m", "maquette", *words], capture_output=True, text=True, timeout=60, **more
    )


# Help


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_verb_with_what_it_is_for(fakes, capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    text = " ".join(" ".join(out).split())
    for verb, summary in [("paint", "Paint a picture."), ("spray", "Spray a wall."), ("list", "List the datasets")]:
        assert re.search(rf"{verb} +{re.escape(summary)}", text)
    assert out.index("Workspace") < out.index("More")  # verbs of other packages come last


@pytest.mark.parametrize("words", [["paint", "--help"], ["paint", "x", "-h"], ["--help", "paint"], ["help", "paint"]])
def test_help_of_a_verb_says_what_every_option_takes(fakes, capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    text = " ".join(" ".join(out).split())
    assert "maquette paint CANVAS [COLOURS...] [options]" in text
    assert "It takes a while." in text
    assert "--size N how large (8 to 512; a multiple of 8; default 64)" in text
    assert "--mode MODE the mode (rgb or grey; default rgb)" in text
    assert "--set KEY=VALUE changes (may be given several times)" in text
    assert "--from RUN" in text
    assert "--wet" in text
    assert "--[no-]frame put a frame around it (default yes)" in text
    assert "--json" in text
    assert "gan" in text  # a verb that takes a family lists the families


def test_help_fits_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    verbs = [verb for group in table.grouped().values() for verb in group]
    texts = [help.overview(), *(help.of_verb(table.get(verb)) for verb in verbs)]
    assert len(texts) > 20
    assert [line for text in texts for line in text.splitlines() if len(line) > 80] == []


def test_help_shows_the_settings_of_the_family_that_is_named(fakes, capsys):
    _, out, _ = run(capsys, "paint", "--family", "gan", "--help")
    assert "Settings of gan" in out
    _, out, _ = run(capsys, "paint", "--family=gan", "--help")
    assert "Settings of gan" in out
    assert any("--set batch=N" in line for line in out)


def test_help_of_a_verb_with_dials_shows_those_of_every_family(fakes, capsys):
    from maquette.operations import schemas

    _, out, _ = run(capsys, "spray", "--help")
    for schema in schemas.read().values():
        assert (f"Dials of {schema.name} models" in out) == bool(schema.dials)


def test_help_and_list_load_neither_torch_nor_numpy(home):
    script = (
        "import sys; from maquette.faces.cli import main; code = main(sys.argv[1:]);"
        "print(*sorted({'torch', 'numpy', 'pydantic', 'rich', 'PIL'} & set(sys.modules))); sys.exit(code)"
    )

    def loaded(*words):
        done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[-1].split()

    from maquette.operations import operation as table

    assert loaded("--help") == []
    assert loaded("--version") == []
    for verbs in table.grouped().values():
        for verb in verbs:
            assert loaded(verb, "--help") == [], verb
    assert "torch" not in loaded("list")


def test_the_version(capsys):
    assert run(capsys, "--version") == (0, [f"maquette {maquette.__version__}"], "")
    assert command("--version").stdout == f"maquette {maquette.__version__}\n"


# Words


def values(capsys, *words):
    from maquette.faces import arguments
    from maquette.operations import operation as table

    return arguments.parse(table.get(words[0]), list(words[1:])).values


def test_words_become_values(fakes, capsys):
    assert values(
        capsys, "paint", "wall", "--to", "a", "red", "--size=16", "--given", "label,text", "--given", "age", "blue",
        "--set", "a=1,2", "--set", "b=3", "--from", "r", "--wet", "--no-frame",
    ) == {
        "canvas": "wall", "colours": ["red", "blue"], "to": "a", "size": "16", "given": ["label", "text", "age"],
        "set": ["a=1,2", "b=3"], "from_": "r", "wet": True, "frame": False,
    }  # fmt: skip


def test_what_is_not_given_is_left_to_the_defaults(fakes, capsys):
    assert values(capsys, "paint", "wall") == {"canvas": "wall"}
    assert values(capsys, "paint", "./--wall") == {"canvas": "./--wall"}


@pytest.mark.parametrize("words", [("can", "--top-k", "5", "--x=-1"), ("--top-k", "5", "can", "--x=-1")])
def test_unknown_options_are_dials_where_a_verb_has_them(fakes, capsys, words):
    code, out, _ = run(capsys, "spray", *words, "--seed", "3", "--json")
    assert code == 0
    assert json.loads(out[-1]) == {
        "event": "result", "verb": "spray", "run": "can", "seed": 3, "options": {"top_k": "5", "x": "-1"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pant"], "there is no verb 'pant'; did you mean paint?"),
        (["paint", "wall", "--sise", "8"], "paint has no option --sise; did you mean --size"),
        (["paint", "wall", "-x"], "paint has no option -x"),
        (["paint", "wall", "--size"], "--size needs a value"),
        (["paint", "wall", "--siz", "8"], "paint has no option --siz"),  # no guessing from beginnings
        (["paint", "wall", "--size", "9"], "paint: size = '9' is not possible (it should be a multiple of 8)"),
        (["paint", "wall", "--size", "-8"], "paint: size = '-8' is not possible"),
        (["paint", "wall", "--images", "few"], "paint: images: 'few' is not a count"),
        (["paint", "wall", "--mode", "rbg"], "did you mean rgb?"),
        (["paint"], "paint: canvas must be given"),
        (["spray", "can", "other"], "unrecognized arguments: other"),
        (["spray", "can", "--top-k"], "--top-k needs a value"),
        (["--colour"], "there is no option --colour"),
        (["--home"], "--home needs a value"),
    ],
)
def test_wrong_arguments_end_with_2_and_a_sentence(fakes, capsys, words, sentence):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, [])
    assert err.startswith("maquette: ")
    assert sentence in err
    assert "Traceback" not in err
    assert re.search(r"^See: maquette .*--help$", err, re.MULTILINE)


# Output


def test_people_read_standard_error_and_tables_go_to_standard_output(fakes, capsys):
    code, out, err = run(capsys, "paint", "wall")
    assert code == 0
    assert out == ["Colours", "name  drops", "----  -----", "red   1", "blue  22"]
    lines = err.splitlines()
    assert lines[0] == "painting on wall"
    assert "warning: the paint is old" in lines
    assert "sheet: out/sheet.png" in lines
    assert not any("out/a.png" in line for line in lines)  # single images are too many to say
    assert lines[-2:] == ["one picture in out", "next: maquette frame out"]


def test_a_progress_line_says_share_rate_time_left_and_numbers(fakes, capsys):
    _, _, err = run(capsys, "paint", "wall")
    first, last = [line for line in err.splitlines() if line.startswith("paint ")]  # not one line an event
    assert first == "paint   33 %  1,000 of 3,000 strokes  0 s so far  loss 0.5"
    assert last == "paint  100 %  3,000 of 3,000 strokes  2,000 strokes/s  2 s in all  loss 0.5"


@pytest.mark.parametrize("words", [["--json", "paint", "wall"], ["paint", "wall", "--json"]])
def test_json_is_one_event_a_line_and_the_last_is_the_result(fakes, capsys, words):
    code, out, err = run(capsys, *words)
    assert code == 0
    events = [json.loads(line) for line in out]
    assert [event["event"] for event in events] == [
        "note", "warning", "progress", "progress", "progress", "made", "made", "table", "result",
    ]  # fmt: skip
    assert events[-1] == {"event": "result", "verb": "paint", "picture": "out/a.png"}
    assert "one picture in out" in err


def test_quiet_says_warnings_alone(fakes, capsys):
    _, _, err = run(capsys, "paint", "wall", "--quiet")
    assert err == "warning: the paint is old\n"


def test_the_workspace_is_where_home_says(fakes, capsys, tmp_path):
    code, out, _ = run(capsys, "--home", str(tmp_path / "mine"), "list", "--json")
    assert code == 0
    assert json.loads(out[-1])["home"] == str(tmp_path / "mine")
    _, out, _ = run(capsys, "list", "--home", str(tmp_path / "other"), "--json")
    assert json.loads(out[-1])["home"] == str(tmp_path / "other")


# Failures


@pytest.mark.parametrize(
    ("do", "sentence"),
    [
        ("data", "photos: there are no images; give a folder with images."),
        ("denied", "/somewhere: permission denied; choose another place or change the permissions."),
        ("full", "the disk is full; free some space and run the same command again."),
        ("memory", "the memory of this machine is used up; choose a smaller size, batch or scale."),
    ],
)
def test_work_that_cannot_be_done_ends_with_1_and_a_sentence(fakes, capsys, do, sentence):
    code, out, err = run(capsys, "paint", "wall", "--do", do, "--json")
    assert (code, err) == (1, f"maquette: {sentence}\n")
    assert [json.loads(line) for line in out] == [{"event": "error", "message": sentence}]


def test_a_fault_of_our_own_says_so_and_keeps_its_trace(fakes, capsys, home):
    code, _, err = run(capsys, "paint", "wall", "--do", "fault")
    assert code == 1
    (path,) = home.glob("faults/*.txt")
    assert err == f"maquette: this is a fault in Maquette (KeyError); what happened was written to {path}.\n"
    trace = path.read_text()
    assert "KeyError: 'oops'" in trace
    assert "maquette paint wall --do fault" in trace


def test_a_fault_is_told_also_where_nothing_can_be_written(fakes, capsys, home, monkeypatch):
    monkeypatch.setattr(os, "makedirs", lambda *_, **__: (_ for _ in ()).throw(OSError()))
    code, _, err = run(capsys, "paint", "wall", "--do", "fault")
    assert code == 1
    assert "this is a fault in Maquette (KeyError: 'oops')" in err


def test_debug_shows_the_trace(fakes, capsys, monkeypatch):
    monkeypatch.setenv("MAQUETTE_DEBUG", "1")
    code, _, err = run(capsys, "paint", "wall", "--do", "fault")
    assert code == 1
    assert "Traceback" in err


def test_wrong_arguments_are_events_too(fakes, capsys):
    code, out, _ = run(capsys, "paint", "--json")
    assert code == 2
    assert json.loads(out[-1]) == {"event": "error", "message": "paint: canvas must be given."}


def test_ctrl_c_ends_with_130_and_one_line(fakes, capsys):
    assert run(capsys, "paint", "wall", "--do", "interrupt") == (130, [], "maquette: stopped\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_work_tidy_up(fakes, home, number, code):
    process = subprocess.Popen(
        [sys.executable, "-m", "maquette", "paint", "wall", "--do", "wait", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert '"progress"' in process.stdout.readline()
    assert (home / "painting").exists()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert not (home / "painting").exists()
    assert json.loads(out.splitlines()[-1])["event"] == "error"
    assert "Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_reader_that_goes_away_is_no_fault(fakes, home):
    process = subprocess.Popen(
        [sys.executable, "-m", "maquette", "paint", "wall", "--do", "wait", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=30) == 1
    err = process.stderr.read()
    process.stderr.close()
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert not (home / "painting").exists()


def test_names_that_the_terminal_cannot_show_end_nothing(fakes):
    done = command("paint", "m\u00fcsli \U0001f3a8", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "painting on m\\xfcsli" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="pty is not there on Windows")
def test_a_terminal_gets_a_bar(fakes):
    import pty

    main_end, other_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "maquette", "paint", "wall"], stdout=subprocess.DEVNULL, stderr=other_end,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "140"},
    )  # fmt: skip
    os.close(other_end)
    shown = b""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            part = os.read(main_end, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(main_end)
    assert process.wait(timeout=30) == 0
    text = shown.decode()
    assert "100%" in text
    assert "3,000 of 3,000 strokes" in text
    assert "loss 0.5" in text
    assert "\x1b[?25h" in text  # the cursor is back
    assert "one picture in out" in text


def test_values_come_from_a_file_and_what_is_typed_goes_before(fakes, capsys, tmp_path):
    file = tmp_path / "values.json"
    file.write_text('{"canvas": "linen", "size": 32, "from": "first"}')
    from maquette.faces import arguments
    from maquette.operations import operation as table

    command = arguments.parse(table.get("paint"), ["--values", str(file), "--size", "64"])
    assert command.all_values() == {"canvas": "linen", "size": "64", "from": "first"}
    assert main(["--values", str(file), "paint", "--quiet"]) == 0
    for text, said in (("[1]", "not a JSON object"), ("{", "not JSON"), ('{"sizes": 8}', "did you mean size")):
        file.write_text(text)
        assert main(["paint", "--values", str(file)]) == 2
        assert said in capsys.readouterr().err
    assert main(["paint", "--values", str(tmp_path / "none.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err
