"""The documents cannot rot: every block of Python in them runs, every link to a file leads somewhere.

A block with ``>>>`` runs as a doctest, any other is executed; the blocks of one document share their names. A block
that cannot run here carries the line ``<!-- not run: why -->`` right above it.
"""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(path for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")] if path.is_file())
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the docs folder does not lie next to the tests")


def blocks(text: str) -> list[tuple[int, str]]:
    """Line and code of every block of Python that is to run."""
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()].rstrip().rsplit("\n", 1)[-1]
        if match["language"] in ("python", "pycon") and not before.startswith("<!-- not run:"):
            found.append((text.count("\n", 0, match.start()) + 1, match["body"]))
    return found


def run(path: Path) -> list[str]:
    """Run the blocks of one document and return what went wrong."""
    names: dict[str, object] = {"__name__": "__docs__"}
    wrong: list[str] = []
    for line, code in blocks(path.read_text(encoding="utf-8")):
        if ">>>" not in code:
            exec(compile(code, f"{path.name}:{line}", "exec"), names)
            continue
        test = doctest.DocTestParser().get_doctest(code, names, path.name, str(path), line)
        test.globs = names
        doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=wrong.append, clear_globs=False)
    return wrong


@pytest.mark.parametrize("path", DOCUMENTS, ids=[path.name for path in DOCUMENTS])
def test_every_block_of_python_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "plot" in path.read_text(encoding="utf-8"):
        pytest.importorskip("matplotlib", reason="the document draws pictures")
    monkeypatch.chdir(tmp_path)
    wrong = run(path)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", DOCUMENTS, ids=[path.name for path in DOCUMENTS])
def test_every_local_link_leads_to_a_file_or_heading(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    headings = {anchor(line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")}
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, heading = target.partition("#")
        assert not file or (path.parent / file).exists(), f"{path.name}: {target} is missing"
        assert file or heading in headings, f"{path.name}: no heading for {target}"


def anchor(heading: str) -> str:
    """Name that code hosts give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_a_wrong_number_in_a_document_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n>>> 1 + 1\n3\n```\n<!-- not run: no -->\n```python\n1 / 0\n```\n", encoding="utf-8")
    assert len(run(page)) == 1
    page.write_text("```python\nx = 1\n```\n\n```python\n>>> x\n1\n```\n", encoding="utf-8")
    assert run(page) == []
    page.write_text("```python\nraise KeyError\n```\n", encoding="utf-8")
    with pytest.raises(KeyError):
        run(page)
