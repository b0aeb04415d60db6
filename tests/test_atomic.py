"""Locks, and files that are either complete or missing. The fault tests kill processes."""

import threading

import pytest

from helpers.atomic import atomic_write, locked


def test_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "deep" / "folder" / "a.txt"
    with atomic_write(path) as temp_path:
        temp_path.write_text("new")
        assert temp_path.parent == path.parent and temp_path.name == ".temp.txt"
        assert not path.exists()
    assert path.read_text() == "new" and not temp_path.exists()


def test_an_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as temp_path:
        temp_path.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("started", [False, True])
def test_an_old_file_stays_where_writing_fails(tmp_path, error, started):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as temp_path:
        if started:
            temp_path.write_text("ne")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_temporary_file_of_a_killed_process_is_replaced(tmp_path):
    (tmp_path / ".temp.txt").write_text("what a killed process left behind")
    with atomic_write(tmp_path / "a.txt") as temp_path:
        temp_path.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_locked_folder_is_created_and_keeps_others_waiting(tmp_path):
    folder, order = tmp_path / "deep" / "folder", []

    def enter():
        with locked(folder):
            order.append("second")

    with locked(folder):
        assert folder.is_dir()
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_lock_is_freed_after_an_error(tmp_path):
    with pytest.raises(OSError), locked(tmp_path):
        raise OSError
    with locked(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} <= {".lock"}
