"""Nothing that somebody else wrote steers the terminal, on any way out; tables stay inside it; a closed pipe is no failure.

Mutation tried: ``Screen.write`` handing on ``text`` itself makes every test of ``test_no_way_out_…`` fail, and dropping
``"color": True`` from the command line's settings those of click's own errors.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import pty
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.reporting.page import environment
from tlbatch.cli import main
from tlbatch.display.text import text_table
from tlbatch.output import cut, is_printable, json_printable, one_line, printable, width_of
from tlbatch.schedules.trend import trend_page
from tlbatch.schedules.webhook import message

PATIENT = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
ROOT = Path(__file__).resolve().parents[2]
#: a title, colours, a C1 control sequence, DEL, an override of direction, an isolate, no width, a line separator, a tag
NASTY = "\x1b]0;owned\x07\x1b[31m\x9b2J\x7f\u202egpj\u2066\u200b\u2028\U000e0041\r"


def test_all_that_unicode_calls_control_or_format_is_escaped() -> None:
    for number in range(sys.maxunicode + 1):
        if unicodedata.category(chr(number)) in ("Cc", "Cf", "Cs", "Zl", "Zp") and chr(number) not in "\n\t":
            assert not is_printable(chr(number)), hex(number)


def test_what_people_write_stays_as_it_is() -> None:
    text = "Kätzchen, 猫, кошка, γάτα, חתול, قطة, बिल्ली, 🐈, é, −3.2 % – ‘ok’ … ✓\tx\n"
    assert printable(text) == text


@PATIENT
@given(st.text(st.characters(), max_size=40))
def test_escaped_text_is_printable_and_one_line_is_one_line(text: str) -> None:
    assert is_printable(printable(text))
    assert len(one_line(text).splitlines()) <= 1


@PATIENT
@given(st.text(st.characters(), max_size=40))
def test_json_reads_back_as_the_same_data(text: str) -> None:
    shown = json_printable(json.dumps({text: text}, ensure_ascii=False))
    assert is_printable(shown)
    assert json.loads(shown) == {text: text}


class Terminal:
    """The program in this process, and all that it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, store: Path) -> None:
        self._capsys, self._patch = capsys, patch
        patch.setenv("TLBATCH_STORE", str(store))
        patch.setenv("TLBATCH_CONFIG", str(store / "no-config.yaml"))

    def __call__(self, *arguments: str, columns: int | None = None) -> str:
        if columns:
            self._patch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit):
            main(list(arguments))
        written = self._capsys.readouterr()
        return written.out + written.err


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    return Terminal(capsys, monkeypatch, tmp_path)


def _on_a_terminal(*arguments: str, **environment: str) -> str:
    """All that the real program writes to a pseudo-terminal."""
    command = [sys.executable, "-m", "tlbatch", *arguments]
    master, slave = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environ) as process:
        os.close(slave)
        pieces = []
        with contextlib.suppress(OSError):  # the end of a terminal is EIO
            while piece := os.read(master, 65536):
                pieces.append(piece)
        os.close(master)
        process.wait()
    return b"".join(pieces).decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def _execution(store: Path, name: str = NASTY) -> None:
    """What an execution left whose tasks, classes and servers have such names."""
    folder = store / "executions" / "pets-20261125-0412-e4e6"
    folder.mkdir(parents=True)
    (store / "FORMAT").write_text("1")
    task = {
        "state": "failed",
        "step": "finetune",
        "key": "ab" * 32,
        "sentence": f"the server said {name}\nand {name}",
        "codes": [1],
    }
    place = {"node": name, "waits": name, "phase": "Pending"}
    tasks = {f"finetune:{name}:0": task, "prepare": {**task, "state": "running", "place": place}}
    status = {
        "id": folder.name,
        "study": "pets",
        "state": "failed",
        "sentence": name,
        "tasks": tasks,
        "updated": 0,
        "backend": "local",
    }
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "study.yaml").write_text(yaml.safe_dump({"name": "pets"}))
    logs = store / "work" / ("ab" * 32) / "logs"
    logs.mkdir(parents=True)
    (logs / "20261125T041200-1-00000.txt").write_text(f"read {name}\n", "utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("status", "-o", "json"),
        ("logs",),
        ("logs", "prepare"),
        ("why",),
        ("list",),
        ("logs", NASTY),
        ("report",),
        ("check", NASTY),
        (NASTY,),
        ("check", "study.yaml", f"--{NASTY}"),
        ("check", "study.yaml", "-o", NASTY),
        ("context", "use", NASTY),
    ],
    ids=lambda words: " ".join(words).replace(NASTY, "NASTY"),
)
def test_no_way_out_lets_a_name_steer_the_terminal(arguments: tuple[str, ...], tmp_path: Path, terminal: Terminal) -> None:
    _execution(tmp_path)
    text = terminal(*arguments)
    assert text
    assert is_printable(text), ascii(text)


def test_nor_on_a_terminal(tmp_path: Path) -> None:
    _execution(tmp_path)
    text = _on_a_terminal("status", TLBATCH_STORE=str(tmp_path), COLUMNS="200")
    assert r"\x1b]0;owned" in text
    assert is_printable(text), ascii(text)


def test_a_name_is_shown_not_dropped(tmp_path: Path, terminal: Terminal) -> None:
    _execution(tmp_path)
    for arguments in (("status",), ("why",), ("logs",), ("check", NASTY), (NASTY,)):
        assert r"\x1b]0;owned\x07\x1b[31m\x9b2J\x7f\u202egpj" in terminal(*arguments).replace("\n", ""), arguments


def test_json_is_exact_data(tmp_path: Path, terminal: Terminal) -> None:
    _execution(tmp_path)
    assert json.loads(terminal("status", "-o", "json"))["sentence"] == NASTY


def test_a_keys_escape_in_a_study_is_shown(tmp_path: Path, terminal: Terminal) -> None:
    study = tmp_path / "study.yaml"
    study.write_text('apiVersion: tlbatch/v1\nkind: Study\n"na\\e[31mme": 1\nruns: "\\u202e"\n', "utf-8")
    text = terminal("check", str(study))
    assert is_printable(text)
    assert r"na\x1b[31mme" in text


def test_pages_show_what_would_turn_the_writing_round() -> None:
    page = environment().from_string("<p title='{{ name }}'>{{ name }}</p>").render(name=NASTY + "<b>'")
    for text in (page, trend_page(NASTY, [], [])):
        assert is_printable(text)
        assert "<b>" not in text
        assert r"\u202egpj" in text


def test_a_webhook_hears_escapes_too() -> None:
    assert is_printable(json.dumps(message(NASTY, [NASTY]), ensure_ascii=False))


# -- a closed pipe ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("backbones", "--all"), ("status",)])
def test_a_reader_that_leaves_is_no_failure(arguments: tuple[str, ...], tmp_path: Path) -> None:
    _execution(tmp_path)
    read, write = os.pipe()
    os.close(read)
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TLBATCH_STORE": str(tmp_path)}
    command = [sys.executable, "-m", "tlbatch", *arguments]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, env=environ, check=False, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_terminal_of_another_encoding_is_no_bug(encoding: str, tmp_path: Path) -> None:
    """What it lacks is shown as an escape. Fails when ``Screen`` hands on what its stream cannot encode, or its ``buffer``.

    Failed before: where the encoding is ASCII click wrote past the screen, and a name's control codes reached the terminal.
    """
    _execution(tmp_path, f"猫{NASTY}")
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "tlbatch", "status", "--store", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, env=environ, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert ("猫" if encoding == "utf-8" else "\\u732b") in done.stdout.decode(encoding)
    assert is_printable(done.stdout.decode(encoding))


# -- tables -----------------------------------------------------------------------------------------------------------

CELLS = st.text(st.sampled_from("ab c猫🐈é-:\u0301"), max_size=30)


@PATIENT
@given(
    st.integers(40, 200),
    st.integers(1, 9).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=5)),
)
def test_a_table_stays_inside_any_terminal(width: int, rows: list[list[str]]) -> None:
    lines = text_table([f"column{i}" for i in range(len(rows[0]))], rows, left=(0, 1), width=width)
    assert max(map(width_of, lines)) <= width
    said = "".join("".join(lines).split())
    assert all("".join(cell.split()) == "" or set("".join(cell.split())) <= set(said) for row in rows for cell in row)


@pytest.mark.parametrize("width", [40, 60, 79, 80, 100, 137, 200])
def test_status_stays_inside_any_terminal(width: int, tmp_path: Path, terminal: Terminal) -> None:
    _execution(tmp_path, "猫の写真 " * 12)
    head, *lines = terminal("status", columns=width).splitlines()
    assert "failed" in head
    assert max(map(width_of, lines)) <= width


@PATIENT
@given(CELLS, st.integers(2, 30))
def test_what_is_cut_fits(text: str, width: int) -> None:
    assert width_of(cut(text, width)) <= width


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("--help >&-", 0, ""),
        ("schema >&- 2>&-", 0, ""),
        ("check nowhere.yaml 2>&-", 2, ""),
        ("check nowhere.yaml <&- >&-", 2, "nowhere.yaml"),
        ("backbones > /dev/full", 75, "No space left on device"),
    ],
)
def test_streams_that_are_closed_or_full_change_no_exit_code_and_are_no_bug(
    command: str, code: int, said: str, tmp_path: Path
) -> None:
    """Failed before: a traceback and 1 where stdout was closed, 1 for 2 where stderr was, "a bug" where the disk was full."""
    words = f"{sys.executable} -m tlbatch {command}"
    done = subprocess.run(["/bin/sh", "-c", words], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, "Traceback" in done.stderr, "a bug" in done.stderr) == (code, False, False), done.stderr
    assert said in done.stderr


def test_a_step_whose_output_has_no_room_ends_as_it_would(tmp_path: Path) -> None:
    words = f"{sys.executable} -m jobs.report --task {tmp_path}/tasks/x.json"
    codes = [
        subprocess.run(["/bin/sh", "-c", words + where], capture_output=True, timeout=120, check=False).returncode
        for where in ("", " > /dev/full 2>&1", " >&- 2>&-")
    ]
    assert codes == [2, 2, 2]


# -- the wall ---------------------------------------------------------------------------------------------------------

PAST = {"os.write(1", "os.write(2", "sys.__stdout__", "sys.__stderr__", "sys.stdout.buffer", "sys.stderr.buffer"}
PAST |= {"click.clear", "click.style", "click.secho", "sys.stdout.detach", "sys.stdout.fileno", "sys.stderr.fileno"}
MAY = {"tlbatch/output.py"}


@pytest.mark.parametrize("package", ["tlbatch", "jobs"])
def test_nothing_writes_past_the_screen(package: str) -> None:
    """Whatever prints goes through sys.stdout and sys.stderr, which are Screens; nothing takes another way."""
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in MAY:
            code = "\n".join(ast.unparse(node) for node in ast.parse(path.read_text("utf-8")).body)
            found += [f"{name}: {way}" for way in sorted(PAST) if way in code]
    assert not found


def test_every_program_of_ours_has_a_screen() -> None:
    """``python -m jobs.<x>`` and ``tlbatch`` install it before anything else can print."""
    bare = []
    for path in sorted((ROOT / "jobs").rglob("*.py")):
        text = path.read_text("utf-8")
        start = text.rpartition('\nif __name__ == "__main__":')
        if start[1] and not any(word in start[2] for word in ("step_main(", "output.install()")) and path.name != "warm.py":
            bare.append(path.name)
    assert bare == []
