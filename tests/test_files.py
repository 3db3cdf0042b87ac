"""Files and folders that are there whole or not at all, wherever they lie and whoever else writes there."""

import errno
import fcntl
import multiprocessing
import os
import stat
import threading

import pytest
from filelock import Timeout
from PIL import Image

import ganzoo
from ganzoo import files
from ganzoo.data import open_data
from ganzoo.errors import ConfigError, reason
from ganzoo.files import expand_user, fsync, locked, new_folder, recover, remove_leftovers, write_file


def share(monkeypatch, number):
    """A place that answers the fsync of a folder with the error `number`."""
    fsync = os.fsync

    def refuse(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)


def windows(monkeypatch):
    """No fsync of what is open for reading alone; no opening of a folder."""
    fsync, open_ = os.fsync, os.open

    def refuse(descriptor):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        fsync(descriptor)

    def open_files(path, *rest, **more):
        if os.path.isdir(path) and "dir_fd" not in more:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return open_(path, *rest, **more)

    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(os, "open", open_files)


@pytest.mark.parametrize("place", ["EINVAL", "ENOTSUP", "ENOSYS", "EBADF", "windows"])
def test_saving_and_the_cache_work_where_no_fsync_of_a_folder_is_offered(tmp_path, monkeypatch, place):
    gan = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)})
    (tmp_path / "pictures").mkdir()
    Image.new("L", (6, 6), 200).save(tmp_path / "pictures" / "a.png")
    windows(monkeypatch) if place == "windows" else share(monkeypatch, getattr(errno, place))
    gan.save_pretrained(tmp_path / "model")
    gan.save_pretrained(tmp_path / "model")
    write_file(tmp_path / "file", "x")
    assert len(open_data(tmp_path / "pictures")) == 1


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_folders_are_written_where_no_locks_are_offered(tmp_path, monkeypatch, number):
    def refuse(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        with new_folder(tmp_path / "folder") as new:
            (new / "text").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("refusals", [0, 3, 19])
def test_on_windows_a_rename_waits_for_others_who_have_a_file_open(tmp_path, monkeypatch, refusals):
    waits, replace = [], os.replace

    def refuse(one, other):
        if len(waits) < refusals:
            raise PermissionError(errno.EACCES, "Access is denied")
        replace(one, other)

    monkeypatch.setattr(files.sys, "platform", "win32")
    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(files.time, "sleep", waits.append)
    write_file(tmp_path / "file", "x")
    assert (tmp_path / "file").read_text() == "x" and waits == [0.1] * refusals


@pytest.mark.parametrize("platform", ["win32", "linux"])
def test_a_rename_that_is_refused_for_good_says_what_may_hinder_it(tmp_path, monkeypatch, platform):
    def refuse(one, other):
        raise PermissionError(errno.EACCES, "Access is denied")

    waits = []
    monkeypatch.setattr(files.sys, "platform", platform)
    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(files.time, "sleep", waits.append)
    with pytest.raises(PermissionError) as error:
        write_file(tmp_path / "file", "x")
    assert sum(waits) == pytest.approx(2 if platform == "win32" else 0)
    remedy = "close programs that use files there" if platform == "win32" else "this user has no right"
    assert f"Access is denied; {remedy}" in reason(error.value)


def test_an_error_names_the_file_that_was_asked_for(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as error:
        write_file(tmp_path / "folder", "x")
    assert error.value.filename == str(tmp_path / "folder")


def test_a_full_or_failing_disk_is_not_passed_over(tmp_path, monkeypatch):
    for number in (errno.ENOSPC, errno.EIO):
        share(monkeypatch, number)
        with pytest.raises(OSError, match=os.strerror(number)):
            fsync(tmp_path)
        monkeypatch.undo()


def write_often(folder, name, times, barrier):
    barrier.wait()
    for _ in range(times):
        with new_folder(folder, keep_others=True) as new:
            for part in "abc":
                (new / part).write_text(name)


@pytest.mark.parametrize("exchange", [True, False])  # Linux, and a place where two renames do it
def test_processes_that_write_one_folder_at_once_all_succeed(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(files.sys, "platform", "other")
    folder, context = tmp_path / "folder", multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    writers = [context.Process(target=write_often, args=(folder, f"{n}", 15, barrier)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert len({(folder / part).read_text() for part in "abc"}) == 1  # one writer's, whole
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def crash(folder, at):
    """Replace `folder` in a process that dies at the rename number `at`."""
    process = os.fork()
    if process == 0:
        files.sys.platform = "other"
        renames, rename = [0], os.replace

        def count(*names):
            renames[0] += 1
            if renames[0] == at:
                os._exit(9)
            rename(*names)

        os.replace = count
        with new_folder(folder) as new:
            (new / "text").write_text("new")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("start", ["recover", "remove_leftovers", "new_folder"])
def test_after_a_crash_between_two_renames_the_next_start_finds_the_folder(tmp_path, at, start):
    folder = tmp_path / "folder"
    write_file(folder / "text", "old")
    crash(folder, at)
    assert folder.exists() == (at != 2)
    if start == "recover":
        recover(folder)
        assert (folder / "text").read_text() == ("new" if at == 3 else "old")
        return
    if start == "new_folder":
        with new_folder(folder, keep_others=True) as new:
            (new / "another").touch()
    remove_leftovers(tmp_path)
    assert (folder / "text").read_text() == ("new" if at == 3 else "old")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def in_an_image(monkeypatch, folder, crash_at=0):
    """`folder` as overlay file systems have it in a lower layer: no rename of it until another is in its place."""
    renames, lower, rename = [0], [folder], os.replace

    def refuse(one, other):
        renames[0] += 1
        if renames[0] == crash_at:
            raise KeyboardInterrupt
        if one in lower:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), one, None, other)
        rename(one, other)
        if other in lower:
            lower.remove(other)

    monkeypatch.setattr(files.sys, "platform", "other")
    monkeypatch.setattr(os, "replace", refuse)


def test_a_folder_that_lies_in_an_image_of_a_container_is_replaced(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    write_file(folder / "text", "old")
    write_file(folder / "within" / "another", "kept")
    in_an_image(monkeypatch, folder)
    for text in ("new", "newer"):
        with new_folder(folder, keep_others=True) as new:
            (new / "text").write_text(text)
        assert ((folder / "text").read_text(), (folder / "within" / "another").read_text()) == (text, "kept")
        assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def half_deleted(folder, ignore_errors=False):
    if folder.name == "folder":
        (folder / "text").unlink()
        raise KeyboardInterrupt


@pytest.mark.parametrize("find", [recover, lambda folder: remove_leftovers(folder.parent)])
@pytest.mark.parametrize("crash_at", [None, 3])
def test_after_a_crash_the_new_folder_is_found_that_was_to_replace_one_in_an_image(
    tmp_path, monkeypatch, find, crash_at
):
    folder = tmp_path / "folder"
    write_file(folder / "text", "old")
    write_file(folder / "within" / "more", "old")
    in_an_image(monkeypatch, folder, crash_at=crash_at)
    if crash_at is None:  # in the middle of deleting
        monkeypatch.setattr(files.shutil, "rmtree", half_deleted)
    with pytest.raises(KeyboardInterrupt), new_folder(folder) as new:
        (new / "text").write_text("new")
    monkeypatch.undo()
    assert folder.exists() == (crash_at is None) and not (folder / "text").exists()
    find(folder)
    assert (folder / "text").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock.tmp")] == ["folder"]


def test_a_model_that_a_crash_left_aside_is_found_when_it_is_loaded(tmp_path, monkeypatch):
    model = ganzoo.create("fashion-mnist", generator={"widths": (8, 4)}).save_pretrained(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    for source in (model, "model", tmp_path):  # the last one as the folder of a run
        model.rename(tmp_path / ".model.old.tmp")
        assert ganzoo.from_pretrained(source).image_size == 28


def test_a_lock_keeps_others_out_and_dies_with_its_process(tmp_path):
    path = tmp_path / "lock"
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        with locked(path):
            os.write(writing, b"x")
            threading.Event().wait()
    os.read(reading, 1)
    with pytest.raises(Timeout), locked(path, wait=False):
        pass
    os.kill(process, 9)
    os.waitpid(process, 0)
    with locked(path, wait=False):
        assert path.exists()
    assert not path.exists()


@pytest.mark.parametrize("path", ["a\0b", b"bytes", None, 3])
def test_what_is_no_path_is_refused_in_words(path):
    with pytest.raises(ConfigError, match="is not a path"):
        expand_user(path)
