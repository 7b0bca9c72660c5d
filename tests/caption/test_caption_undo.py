"""Nothing a person wrote is lost: every change of captions can be taken back, byte for byte."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from engine.caption import journal
from engine.caption.edit import add_prefix, replace_phrase
from engine.caption.journal import CaptionError, begin, operations, undo, written_by
from engine.caption.store import Change, check_writable, read_captions, write_changes, write_with
from engine.runs.folder import home

ODD = {
    "a.jpg": "a dog, on grass",
    "b.jpg": b"\xef\xbb\xbfa dog\r\nsecond line\r\n",
    "c.jpg": "a dog in the sun".encode("utf-16"),
    "d.jpg": "Hündin, a dog".encode("cp1252"),
    "e.jpg": None,
    "f.jpg": b"",
    "sub/g.jpg": "a dog\n",
}


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.txt")}


def edit(folder: Path, old: str, new: str) -> int:
    found = read_captions(folder)
    return write_changes(found, replace_phrase(found.entries, old, new), f"{old} to {new}").count


def test_undo_brings_back_what_was_there_to_the_byte_and_no_file_where_there_was_none(pictures):
    folder = pictures(ODD)
    before = content(folder)
    found = read_captions(folder)
    wrote = write_changes(found, [Change(entry, f"new {entry.name}") for entry in found.entries], "all anew")
    assert wrote.count == 7 and not wrote.refused
    assert (folder / "e.txt").read_bytes() == b"new e.jpg"
    done = undo(folder)
    assert (done.what, done.restored, done.left) == ("all anew", 7, ())
    assert content(folder) == before
    names = {path.name for path in folder.iterdir()}
    assert names - {Path(name).name for name in (*ODD, *before)} == {"sub"}, "nothing else lies there"
    with pytest.raises(CaptionError, match="nothing to undo"):
        undo(folder)


def test_several_changes_are_taken_back_one_by_one(pictures):
    folder = pictures(ODD)
    states = [content(folder)]
    for old, new in (("dog", "cat"), ("cat", "bird"), ("a bird", "two birds")):
        assert edit(folder, old, new) > 0
        states.append(content(folder))
    assert [one.what for one in operations(folder)] == ["dog to cat", "cat to bird", "a bird to two birds"]
    for state in reversed(states[:-1]):
        undo(folder)
        assert content(folder) == state
    assert edit(folder, "dog", "horse") and content(undo(folder) and folder) == states[0], "and so on from there"


def test_what_a_person_changed_since_is_left_named_and_its_former_text_kept(pictures):
    folder = pictures({"a.jpg": "a dog", "b.jpg": "a dog", "c.jpg": None})
    found = read_captions(folder)
    write_changes(found, [Change(entry, "a machine's words") for entry in found.entries], "machine")
    (folder / "b.txt").write_text("my own words")
    (folder / "c.txt").unlink()
    done = undo(folder)
    assert done.restored == 1 and done.left == ("b.txt",)
    assert content(folder) == {"a.txt": b"a dog", "b.txt": b"my own words"}
    assert '"before": "a dog"' in done.kept_in.read_text()


def test_what_somebody_writes_between_reading_and_writing_is_never_overwritten(pictures):
    folder = pictures({"a.jpg": "a dog", "b.jpg": None, "c.jpg": "a dog", "d.jpg": None})
    found = read_captions(folder)
    (folder / "a.txt").write_text("mine")
    (folder / "b.txt").write_text("mine, too")
    (folder / "c.txt").unlink()
    (folder / "d.caption").write_text("mine as well")
    wrote = write_changes(found, [Change(entry, "machine") for entry in found.entries], "machine")
    assert wrote.count == 0 and len(wrote.refused) == 4
    assert all("changed by somebody else meanwhile" in sentence for sentence in wrote.refused)
    assert content(folder) == {"a.txt": b"mine", "b.txt": b"mine, too"}
    assert operations(folder) == [], "a change that wrote nothing leaves no trace"


def test_an_edit_changes_the_line_and_keeps_those_below(pictures):
    folder = pictures(ODD)
    assert edit(folder, "dog", "cat") == 5
    now = content(folder)
    assert now["b.txt"] == b"a cat\r\nsecond line\r\n" and now["sub/g.txt"] == b"a cat\n"
    assert now["c.txt"] == b"a cat in the sun" and now["d.txt"] == "Hündin, a cat".encode()


def test_a_caption_is_written_where_it_was_read(pictures):
    folder = pictures({"a.jpg": None, "b.jpg": None})
    (folder / "a.caption").write_text("a dog")
    (folder / "real.md").write_text("a dog")
    (folder / "b.txt").symlink_to(folder / "real.md")
    (folder / "real.md").chmod(0o600)
    edit(folder, "dog", "cat")
    assert (folder / "a.caption").read_text() == "a cat" and not (folder / "a.txt").exists()
    assert (folder / "b.txt").is_symlink() and (folder / "real.md").read_text() == "a cat"
    assert stat.S_IMODE((folder / "real.md").stat().st_mode) == 0o600
    undo(folder)
    assert (folder / "b.txt").is_symlink() and (folder / "real.md").read_text() == "a dog"


def test_one_run_is_one_undo_also_when_it_was_resumed(pictures):
    folder = pictures({"a.jpg": None, "b.jpg": "old", "c.jpg": None})
    entries = {entry.name: entry for entry in read_captions(folder).entries}
    for names in (("a.jpg", "b.jpg"), ("c.jpg",)):
        with begin(folder, "captions by blip", run="/runs/one") as log:
            write_with(log, [Change(entries[name], f"of {name}") for name in names], whole=True)
    assert written_by(folder, "/runs/one") == {"a.txt", "b.txt", "c.txt"} and written_by(folder, "/other") == set()
    assert len(operations(folder)) == 1
    assert undo(folder).restored == 3 and content(folder) == {"b.txt": b"old"}
    assert written_by(folder, "/runs/one") == set()


def test_what_a_full_disk_or_a_kill_kept_from_being_written_is_not_taken_for_written(pictures, monkeypatch):
    folder = pictures({"a.jpg": "old", "b.jpg": None, "c.jpg": None})
    first, *others = read_captions(folder).entries
    with begin(folder, "captions by blip", run="/runs/one") as log:
        write_with(log, [Change(first, "of a")], whole=True)
    with monkeypatch.context() as patched, pytest.raises(CaptionError, match="what was written is kept: make room"):
        def full(path: Path, data: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        patched.setattr(journal, "put", full)
        with begin(folder, "captions by blip", run="/runs/one") as log:
            write_with(log, [Change(entry, "of it") for entry in others], whole=True)
    assert written_by(folder, "/runs/one") == {"a.txt"}, "the others are still to be written"
    with operations(folder)[0].path.open("ab") as torn:
        torn.write(b'{"file": "b.t')  # a kill in the middle of a line
    with begin(folder, "captions by blip", run="/runs/one") as log:
        write_with(log, [Change(entry, "of it") for entry in others], whole=True)
    assert written_by(folder, "/runs/one") == {"a.txt", "b.txt", "c.txt"}
    assert undo(folder).restored == 3 and content(folder) == {"a.txt": b"old"}


def test_an_undo_waits_for_the_job_that_is_writing(pictures):
    folder = pictures({"a.jpg": None})
    with begin(folder, "captions by blip") as log:
        write_with(log, [Change(read_captions(folder).entries[0], "machine")])
        with pytest.raises(CaptionError, match="being written at this moment"):
            undo(folder)
    assert undo(folder).restored == 1


def test_a_kill_between_the_journal_and_the_caption_harms_nothing(pictures, monkeypatch):
    folder = pictures({"a.jpg": "a dog", "b.jpg": None})
    before = content(folder)

    def killed(path: Path, data: bytes) -> None:
        raise KeyboardInterrupt

    found = read_captions(folder)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(journal, "put", killed)
        patched.setattr(journal, "_there", lambda *_: {"a.txt"})  # who is killed tidies nothing away
        write_changes(found, add_prefix(found.entries, "ohwx dog"), "prefix")
    with operations(folder)[0].path.open("ab") as log:
        log.write(b'{"file": "a.t')  # and a line of which the disk took half
    assert content(folder) == before and undo(folder).restored == 0 and content(folder) == before


def test_a_full_disk_keeps_what_is_done_and_a_second_undo_goes_on(pictures, monkeypatch):
    folder = pictures({f"{at}.jpg": "a dog" for at in range(8)})
    real, left = journal.put, [5]

    def put(path: Path, data: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, data)

    monkeypatch.setattr(journal, "put", put)
    with pytest.raises(CaptionError, match=r"No space left on device.*5 of 8 were"):
        edit(folder, "dog", "cat")
    assert sorted(content(folder).values()) == [b"a cat"] * 5 + [b"a dog"] * 3
    left[0] = 2
    with pytest.raises(CaptionError, match="goes on when that is mended"):
        undo(folder)
    left[0] = 99
    undo(folder)
    assert set(content(folder).values()) == {b"a dog"}


def test_where_the_history_cannot_be_kept_nothing_is_changed(pictures, monkeypatch):
    folder = pictures({"a.jpg": "a dog"})
    home().mkdir(parents=True)
    (home() / "captions").write_text("in the way")
    with pytest.raises(CaptionError, match="history cannot be kept.*nothing is changed"):
        edit(folder, "dog", "cat")
    assert content(folder) == {"a.txt": b"a dog"}


def test_a_folder_that_cannot_be_written_is_said_before_any_work(pictures, monkeypatch):
    folder = pictures({"a.jpg": "a dog"})
    check_writable(read_captions(folder))
    # Root, who runs tests in containers, may write everywhere: the system's answer is given for it.
    monkeypatch.setattr(os, "access", lambda path, how: not how & os.W_OK)
    with pytest.raises(CaptionError, match="cannot be written in"):
        check_writable(read_captions(folder))


def test_bad_folders_and_files_are_named_in_one_sentence(pictures, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(CaptionError, match="is an archive.*unpack it"):
        read_captions(tmp_path / "set.zip")
    with pytest.raises(CaptionError, match="does not exist"):
        read_captions(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(CaptionError, match="is a file"):
        read_captions(tmp_path / "file")
    folder = pictures({"a.jpg": None, "b.jpg": None, "b.png": None})
    (folder / "a.txt").mkdir()
    entries = read_captions(folder).entries
    assert [entry.name for entry in entries] == ["a.jpg", "b.jpg"] and entries[1].others == ("b.png",)
    wrote = write_changes(read_captions(folder), [Change(entries[0], "text")], "x")
    assert wrote.count == 0 and "is a folder where a caption should be" in wrote.refused[0]
