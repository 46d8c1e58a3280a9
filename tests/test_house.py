"""The house stays in order: what the tools of the ritual do not see."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import maquette

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
SCRIPTS = [
    path for folder in ("tests", "benchmarks", "examples", "docs") for path in sorted((ROOT / folder).rglob("*.py"))
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
TEXTS = [
    *SOURCES, *SCRIPTS, *sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("Makefile", "pyproject.toml", "constraints.txt", ".ci/run")),
]  # fmt: skip


def shown(path):
    return str(path.relative_to(ROOT))


# What may run code that came in a file

MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle", "yaml", "runpy"}
CALLS = {"eval", "exec", "torch.load", "os.system", "os.popen", "pickle.load", "pickle.loads", "torch.hub.load"}


def violations(tree):
    """Every place in the code that could run what a file says."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [(node.module or "").partition(".")[0]]
        yield from (f"line {node.lineno}: imports {name}" for name in names if name in MODULES)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CALLS:
                yield f"line {node.lineno}: calls {called}"
            for keyword in node.keywords:
                allowed = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in ("allow_pickle", "shell", "trust_remote_code") and not allowed:
                    yield f"line {node.lineno}: passes {keyword.arg}"


def test_nothing_can_run_code_that_came_in_a_file():
    trees = {shown(path): ast.parse(path.read_text("utf-8")) for path in SOURCES}
    assert [f"{name}, {found}" for name, tree in trees.items() for found in violations(tree)] == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from pickle import loads", "eval('1')", "torch.load(f)", "np.load(f, allow_pickle=True)",
        "np.load(f, allow_pickle=flag)", "subprocess.run('ls', shell=True)", "def f():\n    import marshal",
    ],
)  # fmt: skip
def test_the_search_for_such_code_finds_it(code):
    assert len(list(violations(ast.parse(code)))) == 1


# Size, words and places


def lines(path):
    return len(path.read_text("utf-8").splitlines())


def test_a_file_can_be_read_in_one_go():
    assert {shown(path): lines(path) for path in SOURCES if lines(path) > 420} == {}


def test_no_file_speaks_of_the_machine_it_was_written_on():
    place = re.compile(r"(?<![\w.\]){}-])/(?:home|root|work|opt|mnt|Users)/(?!null|zero|full)\w+")
    found = {shown(path): place.findall(path.read_text("utf-8")) for path in TEXTS}
    assert {name: places for name, places in found.items() if places} == {}


def test_a_folder_only_hands_names_on():
    assert {shown(p): lines(p) for p in SOURCES if p.name == "__init__.py" and lines(p) > 60} == {}


def test_tests_mirror_the_packages():
    packages = {path.parent.name for path in (ROOT / "src" / "maquette").glob("*/__init__.py")}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= packages
    assert not list((ROOT / "tests").rglob("__init__.py"))


# The ritual


def test_the_makefile_has_the_whole_ritual_and_says_so():
    text = (ROOT / "Makefile").read_text("utf-8")
    for target in ("help", "install", "demo", "test", "check", "fix", "bench", "docs"):
        assert re.search(rf"^{target}:.*## ", text, re.MULTILINE), target
        assert re.search(rf"^\.PHONY:.*\b{target}\b", text, re.MULTILINE), target
    for target in ("demo", "test", "check", "fix", "bench", "docs"):
        assert re.search(rf"^{target}: \$\(STAMP\)", text, re.MULTILINE), f"{target} must set up by itself"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no make")
def test_make_alone_says_what_there_is():
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "make demo" in said
    assert "make test" in said


def test_ci_calls_the_test_command_of_the_readme():
    script = ROOT / ".ci" / "run"
    text = script.read_text("utf-8")
    assert "set -euo pipefail" in text
    assert re.search(r"^make check$", text, re.MULTILINE)
    assert re.search(r"^make test$", text, re.MULTILINE)
    assert re.search(r"^make test\b", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert os.name == "nt" or os.access(script, os.X_OK)


def pins():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return {
        requirement.name.lower(): requirement
        for requirement in (Requirement(line) for line in lines if line and not line.startswith("#"))
    }


def test_every_library_is_pinned_to_a_version_that_the_package_allows():
    extras = [line for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines]
    wanted = [*PROJECT["project"]["dependencies"], *extras]
    pinned = pins()
    for line in wanted:
        requirement = Requirement(line)
        if requirement.name == PROJECT["project"]["name"]:
            continue  # an extra that is made of other extras
        (pin,) = pinned[requirement.name.lower()].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), line
        assert Version(pin.version).local is None, "a local build cannot be had from an index"
    assert str(pinned["torch"].specifier) == "==2.13.0"


def test_the_version_is_said_once():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert Version(maquette.__version__) >= Version("0.1.0")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## [Unreleased]" in changelog or f"## [{maquette.__version__}]" in changelog


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert text.split()[:3] == ["Apache", "License", "Version"]
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_the_package_carries_what_it_reads():
    for name in ("py.typed", "families/schemas.json"):
        assert (ROOT / "src" / "maquette" / name).is_file()


def test_tests_use_one_thread_each():
    script = "import torch; print(torch.get_num_threads())"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "1\n"  # conftest.py says so to every process that a test starts
