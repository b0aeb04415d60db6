"""Lists of clips, from folders and from tables."""

import pathlib
import re
import unicodedata
import warnings

import pandas as pd
import pytest
from conftest import SIDE, write_video

from helpers.clips import as_url, list_clips, read_folder, read_split, read_table
from helpers.video import FrameGenerator

# Folders.


def test_clips_and_labels_are_in_order(six_clips):
    files, labels, class_names = list_clips(str(six_clips))
    assert files == sorted(files)
    assert [file.parent.name for file in files] == ["Add"] * 3 + ["Zip"] * 3
    assert (labels, class_names) == ([0, 0, 0, 1, 1, 1], ["Add", "Zip"])


def make_own_clips(folder, names):
    """Write clips under these names, each a frame longer than the one before; return the paths."""
    files = [folder / name for name in names]
    for n_frames, file in enumerate(files, start=20):
        file.parent.mkdir(parents=True, exist_ok=True)
        # OpenCV would choose the container by the suffix.
        write_video(folder / "clip.avi", n_frames).rename(file)
    return files


def test_videos_with_any_suffix_count_anywhere_in_a_classs_folder(tmp_path):
    names = [
        "pull ups/a.avi",
        "pull ups/GOPR0001.MP4",
        "pull ups/phone.mov",
        "push ups/anna/1.WebM",
        "push ups/anna/may/2.mkv",
        "squats/3.m4v",
    ]
    files = make_own_clips(tmp_path, names)
    make_own_clips(tmp_path, [".ipynb_checkpoints/1.avi", "squats/.trash/2.avi", "squats/._3.avi"])
    with warnings.catch_warnings(action="error"):
        found, labels, class_names = list_clips(tmp_path)
    assert found == sorted(files) and class_names == ["pull ups", "push ups", "squats"]
    assert [class_names[label] for label in labels] == [
        file.relative_to(tmp_path).parts[0] for file in sorted(files)
    ]
    generator = FrameGenerator(tmp_path, 3, output_size=(SIDE, SIDE), frame_step=5)
    assert [label for _, label in generator] == labels


def test_a_linked_folder_is_a_class(tmp_path):
    make_own_clips(tmp_path / "elsewhere", ["anna/1.mp4"])
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "squats").symlink_to(tmp_path / "elsewhere")
    assert list_clips(tmp_path / "split")[1:] == ([0], ["squats"])


def test_links_that_lead_back_are_not_followed(tmp_path):
    make_own_clips(tmp_path, ["a/1.mp4", "b/2.mp4"])
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "b" / "across").symlink_to("../a")
    files, labels, _ = list_clips(tmp_path)
    names = [str(file.relative_to(tmp_path)) for file in files]
    assert names == ["a/1.mp4", "b/2.mp4", "b/across/1.mp4"] and labels == [0, 1, 1]


def test_a_web_address_is_refused():
    address = "https://example.org/clips"
    with pytest.raises(ValueError, match=f"^{address} is a web address; download the clips"):
        list_clips(address)


def test_a_folder_without_clips_is_refused(tmp_path):
    (tmp_path / "Empty").mkdir()
    (tmp_path / "file.mp4").touch()
    for path, message in (
        (tmp_path, "holds no clips; add videos"),
        (tmp_path / "missing", "does not exist; check the path of the folder"),
        (tmp_path / "file.mp4", "is a file; give the path of a folder with a folder"),
    ):
        with pytest.raises(ValueError, match=f"^{path} {message}"):
            list_clips(path)


def test_skipped_files_and_folders_are_named(tmp_path):
    make_own_clips(tmp_path, ["squats/1.avi", "loose.mp4"])
    (tmp_path / "lunges").mkdir()
    for name in ("lunges/1.zip", "squats/notes.txt", "squats/no suffix"):
        (tmp_path / name).write_text("no video")
    with pytest.warns(UserWarning) as warned:
        assert len(list_clips(tmp_path)[0]) == 1
    files, folders = (str(each.message) for each in warned)
    assert files.startswith(f"{tmp_path}: skipped files that are not named like videos")
    assert files.endswith(" (4): loose.mp4, lunges/1.zip, squats/no suffix, squats/notes.txt.")
    assert folders == f"{tmp_path}: skipped folders without videos (1): lunges."
    assert {each.filename for each in warned} == {__file__}


def test_a_warning_names_at_most_ten_skipped_files(tmp_path):
    make_own_clips(tmp_path, ["squats/1.avi"])
    for number in range(12):
        (tmp_path / "squats" / f"{number:02}.txt").write_text("no video")
    message = r"skipped files .* \(12\): squats/00.txt, .*, squats/09.txt, \.\.\.\.$"
    with pytest.warns(UserWarning, match=message):
        list_clips(tmp_path)


def test_another_split_uses_the_training_sets_class_names(tmp_path):
    make_own_clips(tmp_path / "train", ["pull ups/1.avi", "push ups/1.avi", "squats/1.avi"])
    make_own_clips(tmp_path / "val", ["squats/2.avi"])
    class_names = list_clips(tmp_path / "train")[2]
    _, labels, names = list_clips(tmp_path / "val", class_names)
    assert (labels, names) == ([2], ["pull ups", "push ups", "squats"])
    generator = FrameGenerator(tmp_path / "val", 3, class_names=class_names)
    assert generator.class_ids_for_name["squats"] == 2
    message = f"^{tmp_path}/val has clips of squats, but the classes are lunges, pull ups; remove"
    with pytest.raises(ValueError, match=message):
        list_clips(tmp_path / "val", ["lunges", "pull ups"])


# Tables.

ROWS = [("v_Up_g01_c01.avi", "train"), ("v_Up_g02_c01.avi", "test")]


def write_table(path, lines, encoding="utf-8"):
    path.write_bytes("\r\n".join([*lines, ""]).encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("titles", [("file", "split"), ("File", " SPLIT ")])
def test_table_is_read_in_the_variants_that_excel_writes(tmp_path, encoding, separator, titles):
    lines = [separator.join(row) for row in (titles, *ROWS)]
    assert read_split(write_table(tmp_path / "split.csv", lines, encoding)) == dict(ROWS)


def test_table_may_have_other_columns_blank_lines_and_folders(tmp_path):
    lines = [
        "sep=;",
        "",
        "note;split;file",
        '"a;b";train;C:\\clips\\Up\\v_Up_g01_c01.avi',
        ";;",
        "",
        ";test; Up/v_Up_g02_c01.avi ",
        ";;v_Up_g03_c01.avi",
    ]
    assert read_split(write_table(tmp_path / "split.csv", lines)) == dict(ROWS)


@pytest.mark.parametrize(
    "lines",
    [
        ['"file", "split"', *(f'"{name}", "{split}"' for name, split in ROWS)],
        ['"sep=;"', "file;split", *map(";".join, ROWS)],
        ["sep=|", "file|split", *map("|".join, ROWS)],
        ["note,file,split", *(f"a\x0bb\x0cc\u2028d,{name},{split}" for name, split in ROWS)],
        ["file,split", *map(",".join, ROWS), "v_Up_g01_c01.avi,TRAIN"],
    ],
)
def test_table_may_have_spaces_quotes_other_separators_and_odd_characters(tmp_path, lines):
    assert read_split(write_table(tmp_path / "split.csv", lines)) == dict(ROWS)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"x" * 200_000, "can't be read as a table .*; save it again as CSV"),
        (b"", r"is not a table with the columns file and split \(it is empty\); add"),
        (
            b"name;part\nx;y\n",
            r"is not a table .* \(its first line is 'name;part'\); add or rename these columns",
        ),
        (b"file,split\nGr\xf6\xdfe.avi,train\n", "is not text in UTF-8; save it as CSV UTF-8"),
        (
            b'file,split\n"v_Up_g01_c01.avi,train\n',
            "can't be read as a table .*; save it again as CSV",
        ),
        (b"file,split\nv_Up_g01_c01.avi;train\n", "lists no clip, because no row has both"),
        (
            b"file,split\na/v_Up_g01_c01.avi,train\nb/v_Up_g01_c01.avi,test\n",
            "lists v_Up_g01_c01.avi in train and in test; remove one",
        ),
    ],
)
def test_error_for_an_invalid_table_says_what_was_found(tmp_path, content, message):
    (tmp_path / "split.csv").write_bytes(content)
    with pytest.raises(ValueError, match=f"^{tmp_path}/split.csv {message}"):
        read_split(tmp_path / "split.csv")


@pytest.mark.parametrize(
    "path, message",
    [
        ("https://a.org/split.csv", "is a URL, .*; download it"),
        ("missing.csv", r"can't be read \(No such file"),
        (".", r"can't be read \(Is a directory"),
    ],
)
def test_a_missing_table_is_refused(path, message):
    with pytest.raises(ValueError, match=f"^{path} {message}"):
        read_split(path)


# Addresses.


@pytest.mark.parametrize(
    "path, url",
    [
        ("https://a.org/b.zip", "https://a.org/b.zip"),
        (pathlib.Path("https://a.org/b.zip"), "https://a.org/b.zip"),
        ("s3://bucket/b.zip", "s3://bucket/b.zip"),
        ("data/b.zip", None),
        ("/data/b.zip", None),
        (r"C:\data\b.zip", None),
        ("C:/data/b.zip", None),
    ],
)
def test_an_address_is_recognised_in_a_path(path, url):
    assert as_url(path) == url


# Tables of any videos.


def make_files(folder, names):
    """Create empty files; whether they can be decoded shows only when they are read."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def groups_by_name(path, **options):
    table = read_folder(path, **options)
    return {file.name: group for file, group in zip(table["file"], table["group"])}


def test_a_folder_gives_a_table_with_class_and_group(tmp_path):
    names = ["jump/anna/1.mp4", "jump/anna/may/2.MOV", "jump/ben/1.webm", "跑步/3.mkv"]
    make_files(tmp_path, names)
    table = read_folder(str(tmp_path))
    assert list(table.columns) == ["file", "class_name", "group"]
    assert table["file"].tolist() == [tmp_path / name for name in names]
    assert table["class_name"].tolist() == ["jump", "jump", "jump", "跑步"]
    assert table["group"].tolist() == ["anna", "anna", "ben", None]


def test_a_pattern_finds_the_groups_in_the_names(tmp_path):
    make_files(tmp_path, ["jump/anna_01.mp4", "jump/anna_02.mp4", "run/ben_01.mp4"])
    expected = {"anna_01.mp4": "anna", "anna_02.mp4": "anna", "ben_01.mp4": "ben"}
    for pattern in (r"([^/_]+)_\d+\.mp4", r"[a-z]+(?=_)"):
        assert groups_by_name(tmp_path, group=pattern) == expected
    message = rf"^'anna' finds no group in 1 of the 3 clips in {tmp_path}, such as run/ben_01.mp4; "
    with pytest.raises(ValueError, match=message):
        read_folder(tmp_path, group="anna")
    with pytest.raises(ValueError, match=r"^'\(' is not a regular expression \(.*\); for names"):
        read_folder(tmp_path, group="(")


def test_names_of_ucf101_give_the_groups(puppet_folders):
    table = read_folder(puppet_folders["train"])
    assert len(table) == 12
    for file, class_name, group in zip(table["file"], table["class_name"], table["group"]):
        assert f"v_{class_name}_g{int(group.split()[1]):02d}_" in file.name


CLIPS = ["jump/1.mp4", "jump/2.mp4", "run/1.mp4", "run/2.mp4"]


@pytest.mark.parametrize(
    "lines, encoding",
    [
        (["file,class,group", "jump/1.mp4,jump,anna", "run/1.mp4,run,ben"], "utf-8"),
        (["sep=;", "Class;File;Group", "jump;jump/1.mp4;anna", "run;run/1.mp4;ben"], "utf-16"),
        (["\ufeffclass;group;file", 'jump;anna;"jump/1.mp4"', "run;ben;run/1.mp4"], "utf-8"),
        (["class\tgroup\tfile", "jump\tanna\tjump\\1.mp4", "run\tben\t./run/1.mp4"], "utf-8"),
        (
            [",file,class,group", "0,jump/1.mp4,jump,anna", "", ",,,", "1,run/1.mp4,run,ben"],
            "utf-8-sig",
        ),
    ],
)
def test_a_table_is_read_as_spreadsheets_and_pandas_write_it(tmp_path, lines, encoding):
    make_files(tmp_path, CLIPS)
    table = read_table(write_table(tmp_path / "clips.csv", lines, encoding))
    assert [file.resolve() for file in table["file"]] == [
        tmp_path / "jump/1.mp4",
        tmp_path / "run/1.mp4",
    ]
    assert table["class_name"].tolist() == ["jump", "run"]
    assert table["group"].tolist() == ["anna", "ben"]


ODD_NAMES = [
    'it\'s a "jump".mp4',
    "two\nlines.mp4",
    "a, b; c.mp4",
    "sauter à côté.mp4",
    "$(x) & y.mp4",
]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_table_of_pandas_is_read_whatever_the_names(tmp_path, form):
    make_files(tmp_path, [unicodedata.normalize(form, name) for name in ODD_NAMES])
    written = pd.DataFrame(
        {"file": ODD_NAMES, "class": "jump", "split": ["Train", "", "VAL", "test", ""]}
    )
    written.to_csv(tmp_path / "clips.csv")
    table = read_table(tmp_path / "clips.csv")
    assert [unicodedata.normalize("NFC", file.name) for file in table["file"]] == ODD_NAMES
    assert table["split"].tolist() == ["train", None, "val", "test", None]
    assert table["group"].isna().all()


def test_files_may_lie_anywhere(tmp_path):
    make_files(tmp_path, ["videos/1.mp4", "2.mp4"])
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "linked.mp4").symlink_to(tmp_path / "2.mp4")
    lines = ["file,class", "../videos/1.mp4,jump", "linked.mp4,run"]
    table = read_table(write_table(tmp_path / "tables" / "clips.csv", lines))
    assert [file.resolve() for file in table["file"]] == [
        tmp_path / "videos/1.mp4",
        tmp_path / "2.mp4",
    ]
    lines = ["file,class", f"{tmp_path / '2.mp4'},jump"]
    assert read_table(write_table(tmp_path / "tables" / "clips.csv", lines))["file"].tolist() == [
        tmp_path / "2.mp4"
    ]


def test_parts_of_a_video_are_clips_of_one_group(tmp_path):
    make_files(tmp_path, CLIPS)
    lines = [
        "file;class;begin;end",
        "jump/1.mp4;jump;;2,5",
        "./jump/1.mp4;run;2.5;",
        "run/1.mp4;run;;",
    ]
    table = read_table(write_table(tmp_path / "clips.csv", lines))
    assert table["group"].tolist() == ["jump/1.mp4", "jump/1.mp4", "run/1.mp4"]
    assert table["begin"].fillna(-1).tolist() == [-1, 2.5, -1]
    assert table["end"].fillna(-1).tolist() == [2.5, -1, -1]


@pytest.mark.parametrize(
    "lines, message",
    [
        (["file,class"], "lists no clips; add a row for each, or read a folder."),
        (["file,split", "a.mp4,train"], "is not a table with the columns class and file"),
        (["file,class", "jump/1.mp4,jump", "", ",run"], ", row 4: file is empty; fill it in."),
        (["file,class", "jump/1.mp4,"], ", row 2: class is empty; fill it in."),
        (
            ["file,class", "jump/9.mp4,jump"],
            ", row 2: jump/9.mp4 is not a file in .* names? no file",
        ),
        (
            ["file,class", "https://a.org/1.mp4,jump"],
            ", row 2: https://a.org/1.mp4 is a web address",
        ),
        (["file,class", "jump,jump"], ", row 2: jump is not a file in "),
        (["file,class", "x" * 300 + ".mp4,jump"], ", row 2: xxx+.mp4 is not a file in "),
        (
            ["file,class,begin,end", "jump/1.mp4,jump,0,2,0,8"],
            ", row 2 has 6 cells, but there are 4 titles; put cells that contain commas in quotes",
        ),
        (["file,class,Class", "jump/1.mp4,jump,run"], "has two columns class; rename or remove"),
        (
            ["file,class", "jump/1.mp4,jump", "./jump/1.mp4,run"],
            ", rows 2 and 3 list the same clip .1.mp4.; remove one of them.",
        ),
        (
            ["file,class,split", "jump/1.mp4,jump,train", "jump/1.mp4,jump,test"],
            ", rows 2 and 3 list the same clip .1.mp4, in train and in test.; remove",
        ),
        (
            ["file,class,begin,end", "jump/1.mp4,jump,3,2"],
            ", row 2: the clip ends at 2 s, not after it begins; correct begin or end.",
        ),
        (
            ["file,class,begin,end", "jump/1.mp4,jump,0,0"],
            ", row 2: the clip ends at 0 s, not after",
        ),
        (
            ["file,class,begin", "jump/1.mp4,jump,-1"],
            ", row 2: begin is '-1', which is no number of",
        ),
        (["file,class,end", "jump/1.mp4,jump,inf"], ", row 2: end is 'inf', which is no number of"),
        (
            ["file,class,end", "jump/1.mp4,jump,1:20"],
            ", row 2: end is '1:20', which is no number of",
        ),
        (
            ["file,class,begin,end,split", "jump/1.mp4,jump,0,2,train", "jump/1.mp4,run,1,3,test"],
            ", rows 2 and 3 list a part of the same video .1.mp4, in train and in test.; remove",
        ),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_the_row(tmp_path, lines, message):
    make_files(tmp_path, CLIPS)
    path = write_table(tmp_path / "clips.csv", lines)
    with pytest.raises(ValueError, match=f"^{path}(?: |){message}"):
        read_table(path)


def test_parts_may_overlap_in_one_split_and_touch_across_splits(tmp_path):
    make_files(tmp_path, CLIPS)
    lines = ["file,class,begin,end,split", "jump/1.mp4,jump,0,2,train", "jump/1.mp4,run,1,3,train"]
    assert len(read_table(write_table(tmp_path / "clips.csv", lines))) == 2
    lines = ["file,class,begin,end,split", "jump/1.mp4,jump,0,2,train", "jump/1.mp4,run,2,3,test"]
    assert len(read_table(write_table(tmp_path / "clips.csv", lines))) == 2


@pytest.mark.parametrize("pattern", ["(x)?", "x*", "^", "(?:([a-z]+)_)?"])
def test_a_pattern_that_matches_nothing_of_a_name_is_refused(tmp_path, pattern):
    make_files(tmp_path, CLIPS)
    with pytest.raises(ValueError, match=f"^{re.escape(repr(pattern))} finds no group in 4 of the"):
        read_folder(tmp_path, pattern)


def test_the_first_parentheses_that_match_give_the_group(tmp_path):
    make_files(tmp_path, CLIPS)
    table = read_folder(tmp_path, "(jump)|(run)")
    assert table["group"].tolist() == ["jump", "jump", "run", "run"]
    with pytest.raises(ValueError, match="is not a regular expression"):
        read_folder(tmp_path, "a{99999999999}")


def test_a_pattern_fills_in_the_groups_of_a_table(tmp_path):
    make_files(tmp_path, ["anna_1.mp4", "ben_1.mp4"])
    lines = [
        "file,class,begin,end,group",
        "anna_1.mp4,jump,0,1,",
        "anna_1.mp4,run,1,2,",
        "ben_1.mp4,run,,,chris",
    ]
    table = read_table(write_table(tmp_path / "clips.csv", lines), "([a-z]+)_")
    assert table["group"].tolist() == ["anna", "anna", "chris"]
    # Without a pattern, a part has the group of its video.
    lines[1] += "dora"
    table = read_table(write_table(tmp_path / "clips.csv", lines))
    assert table["group"].tolist() == ["dora", "dora", "chris"]


def test_classes_and_groups_are_the_same_in_either_form_of_unicode(tmp_path):
    form = unicodedata.normalize
    names = [f"{form(kind, 'é')}/{form(kind, 'zoé')}/{kind}.mp4" for kind in ("NFC", "NFD")]
    make_files(tmp_path, names)
    table = read_folder(tmp_path)
    assert set(table["class_name"]) == {form("NFC", "é")} and set(table["group"]) == {
        form("NFC", "zoé")
    }
    assert len(table) == 2


def test_links_that_lead_nowhere_are_clips_that_cannot_be_read(tmp_path):
    make_files(tmp_path, CLIPS)
    (tmp_path / "run" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert read_folder(tmp_path)["file"].tolist()[-1] == tmp_path / "run" / "gone.mp4"
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.warns(UserWarning, match=r"skipped files .* \(1\): gone\."):
        read_folder(tmp_path)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    make_files(tmp_path, CLIPS)
    listed = pathlib.Path.iterdir

    def refuse(path):
        if path.name == "run":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(pathlib.Path, "iterdir", refuse)
    with pytest.raises(ValueError, match=f"^{tmp_path}/run can't be read .Permission denied.; cha"):
        read_folder(tmp_path)


def test_many_parts_of_a_video_are_read_quickly_and_overlaps_found(tmp_path):
    make_files(tmp_path, CLIPS)
    lines = ["file,class,begin,end,split"]
    lines += [f"jump/1.mp4,jump,{i},{i + 1},{'train' if i % 2 else 'val'}" for i in range(5000)]
    path = write_table(tmp_path / "clips.csv", lines)
    assert len(read_table(path)) == 5000
    write_table(path, [*lines, "jump/1.mp4,jump,10.5,4000,Training"])
    # It overlaps with the part from 10 to 11 s, which is in val.
    with pytest.raises(ValueError, match="rows 12 and 5002 list a part of the same video"):
        read_table(path)
