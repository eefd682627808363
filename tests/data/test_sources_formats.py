"""The annotation formats of each data set, on small files in the official form and on the real ones."""

import json
from collections import Counter
from pathlib import Path

import pytest

from kinema.data.manifest import Manifest
from kinema.data.sources.listing import Entry
from kinema.data.sources.make import make_manifests
from kinema.data.sources.table import DATA_SETS
from kinema.errors import UserError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def write(root: Path, files: dict[str, str | dict | list]) -> Path:
    for name, content in files.items():
        (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def made(source: str, root: Path, **options: str) -> Manifest:
    (manifest,) = make_manifests(source, videos=root, annotations=root, **options).manifests.values()
    return manifest


def rows(manifest: Manifest) -> list[tuple[str, str, str, str]]:
    root = str(manifest.root) + "/"
    return [(record.video_id, record.path.removeprefix(root), record.label, record.split) for record in manifest]


def test_ucf101_labels_must_agree(tmp_path: Path) -> None:
    write(tmp_path, {"classInd.txt": "1 Archery\n2 Punch\n", "trainlist01.txt": "Punch/v_Punch_g08_c01.avi 1\n"})
    with pytest.raises(UserError, match=r"has the label 1, which is not Punch"):
        made("ucf101", tmp_path)
    (tmp_path / "trainlist01.txt").write_text("Punch/v_Punch_g08_c01.avi 3\n")
    with pytest.raises(UserError, match=r"label '3' is out of range; the 2 classes are 1 to 2"):
        made("ucf101", tmp_path)
    (tmp_path / "trainlist01.txt").write_text("Boxing/v_Boxing_g08_c01.avi 2\n")
    with pytest.raises(UserError, match="no folder of a class"):
        made("ucf101", tmp_path)


def test_ucf101_groups_and_other_extensions(tmp_path: Path) -> None:
    lists = touch(tmp_path, "lists/x", "Punch/v_Punch_g08_c01.mp4", "Punch/v_Punch_g01_c02.webm") / "lists"
    write(lists, {"classInd.txt": "1 Archery\n2 Punch\n", "trainlist01.txt": "Punch/v_Punch_g08_c01.avi 2\n"})
    write(lists, {"testlist01.txt": "Punch/v_Punch_g01_c02.avi\n"})
    manifest = made("ucf101", tmp_path)
    assert rows(manifest) == [
        ("v_Punch_g08_c01", "Punch/v_Punch_g08_c01.mp4", "Punch", "train"),
        ("v_Punch_g01_c02", "Punch/v_Punch_g01_c02.webm", "Punch", "test"),
    ]
    assert [record.group for record in manifest] == ["Punch_g08", "Punch_g01"]
    assert manifest.labels.tolist() == [1, 1]


def test_hmdb51_codes(tmp_path: Path) -> None:
    touch(
        tmp_path, *(f"{label}/film{n}_{label}_u_cm_np1_fr_goo_{n}.avi" for label in ("clap", "wave") for n in range(3))
    )
    for label in ("clap", "wave"):
        lines = [f"film{n}_{label}_u_cm_np1_fr_goo_{n}.avi {code} \n" for n, code in enumerate("120")]
        (tmp_path / f"{label}_test_split1.txt").write_text("".join(lines))
    manifest = made("hmdb51", tmp_path)
    assert rows(manifest)[:2] == [
        ("clap/film0_clap_u_cm_np1_fr_goo_0", "clap/film0_clap_u_cm_np1_fr_goo_0.avi", "clap", "train"),
        ("clap/film1_clap_u_cm_np1_fr_goo_1", "clap/film1_clap_u_cm_np1_fr_goo_1.avi", "clap", "test"),
    ]
    assert len(manifest) == 4
    assert manifest[0].group == "clap/film0"
    (tmp_path / "clap_test_split1.txt").write_text("film0_clap_u.avi 3\n")
    with pytest.raises(UserError, match="must be 0, 1 or 2, it is 3"):
        made("hmdb51", tmp_path)


KINETICS = "label,youtube_id,time_start,time_end,split\n"


def test_kinetics(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "kinetics-400_train.csv": KINETICS + "yoga,aaaaaaaaaaa,10,20,train\nair drumming,-bbbbbbbbbb,1,11,train\n",
            "kinetics-400_val.csv": KINETICS + '"""clean and jerk""",ccccccccccc,0,10,validate\n',
            "kinetics-600_val.csv": KINETICS + "other,ddddddddddd,0,10,val\n",
            "labels.csv": "id,name\n0,yoga\n",
        },
    )
    (tmp_path / "label_map_k400.txt").write_text('air drumming\n"clean and jerk"\nyoga\n')
    touch(tmp_path, "train/yoga/aaaaaaaaaaa_000010_000020.mp4", "air_drumming/-bbbbbbbbbb.mkv")
    touch(tmp_path, "ccccccccccc_000000_000010.mp4")
    assert rows(made("kinetics400", tmp_path)) == [
        ("aaaaaaaaaaa_000010_000020", "train/yoga/aaaaaaaaaaa_000010_000020.mp4", "yoga", "train"),
        ("-bbbbbbbbbb_000001_000011", "air_drumming/-bbbbbbbbbb.mkv", "air drumming", "train"),
        ("ccccccccccc_000000_000010", "ccccccccccc_000000_000010.mp4", '"clean and jerk"', "val"),
    ]
    assert made("kinetics400", tmp_path).classes == ("air drumming", '"clean and jerk"', "yoga")
    with pytest.raises(UserError, match="no CSV of Kinetics-700"):
        made("kinetics700", tmp_path)


def test_kinetics_test_list_without_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, {"train.csv": KINETICS + "yoga,aaaaaaaaaaa,10,20,train\n"})
    write(tmp_path, {"test.csv": "youtube_id,time_start,time_end,split\nbbbbbbbbbbb,3,13,test\n"})
    touch(tmp_path, "aaaaaaaaaaa.mp4", "bbbbbbbbbbb.mp4")
    manifest = made("kinetics700", tmp_path)
    assert [(record.label, record.split) for record in manifest] == [("", "test"), ("yoga", "train")]
    assert "the lists have 1 classes" in caplog.text


def test_mini_kinetics(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": KINETICS + "yoga,aaaaaaaaaaa,10,20,train\nabseiling,bbbbbbbbbbb,1,11,train\n"})
    write(tmp_path, {"val.csv": KINETICS + "yoga,ccccccccccc,10,20,val\n"})
    write(tmp_path, {"train_ytid_list.txt": "aaaaaaaaaaa\nzzzzzzzzzzz\n", "val_ytid_list.txt": "ccccccccccc\n"})
    (tmp_path / "ibm_mini_kinetics400_classes.txt").write_text("yoga''.")
    touch(tmp_path, "aaaaaaaaaaa.mp4", "bbbbbbbbbbb.mp4", "ccccccccccc.mp4")
    with pytest.raises(UserError, match=r"1 of the 3 listed videos .*zzzzzzzzzzz"):
        made("mini-kinetics-200", tmp_path)
    manifest = made("mini-kinetics-200", tmp_path, missing="drop")
    assert [(record.label, record.split) for record in manifest] == [("yoga", "train"), ("yoga", "val")]
    ibm = made("mini-kinetics-ibm", tmp_path)
    assert ibm.classes == ("yoga",)
    assert len(ibm) == 2


SOMETHING = ("Moving something", "Pushing something from left to right", "Pushing something from right to left")


def test_something_v1_and_jester(tmp_path: Path) -> None:
    for source, prefix in (("something-v1", "something-something-v1"), ("jester", "jester-v1")):
        root = touch(tmp_path / source, "7/00001.jpg", "20bn/8/00001.jpg", "9/00001.jpg")
        (root / f"{prefix}-labels.csv").write_text("\n".join(SOMETHING[::-1]) + "\n")
        (root / f"{prefix}-train.csv").write_text(f"7;{SOMETHING[1]}\n")
        (root / f"{prefix}-validation.csv").write_text(f"8;{SOMETHING[0]}\n")
        (root / f"{prefix}-test.csv").write_text("9\n")
        manifest = made(source, root)
        assert manifest.classes == SOMETHING[::-1]
        assert manifest.no_flip == set(SOMETHING[1:])
        assert rows(manifest) == [
            ("7", "7", SOMETHING[1], "train"),
            ("8", "20bn/8", SOMETHING[0], "val"),
            ("9", "9", "", "test"),
        ]
        assert manifest[0].fps == 12
        (root / f"{prefix}-train.csv").write_text("7;Pushing something from left to rihgt\n")
        with pytest.raises(UserError, match=r"unknown label of video 7 .*did you mean Pushing"):
            made(source, root)


def test_something_v2_and_its_mini_set(tmp_path: Path) -> None:
    touch(tmp_path, "10.webm", "11.webm", "12.webm")
    write(
        tmp_path,
        {
            "something-something-v2-labels.json": {name: str(2 - n) for n, name in enumerate(SOMETHING)},
            "something-something-v2-train.json": [
                {"id": "10", "label": "moving a cup", "template": "Moving [something]", "placeholders": ["a cup"]},
                {"id": "11", "label": "", "template": "Pushing [something] from left to right", "placeholders": ["it"]},
            ],
            "something-something-v2-validation.json": [{"id": "12", "template": "Moving [something]"}],
        },
    )
    manifest = made("something-v2", tmp_path)
    assert manifest.classes == SOMETHING[::-1]
    assert rows(manifest) == [
        ("10", "10.webm", SOMETHING[0], "train"),
        ("11", "11.webm", SOMETHING[1], "train"),
        ("12", "12.webm", SOMETHING[0], "val"),
    ]
    (tmp_path / "ibm_mini_ssv2_classes.txt").write_text(f"\n{SOMETHING[1]}\n")
    mini = made("mini-ssv2", tmp_path)
    assert (mini.classes, mini.no_flip, len(mini)) == ((SOMETHING[1],), {SOMETHING[1]}, 1)
    (tmp_path / "something-something-v2-train.json").write_text("[{")
    with pytest.raises(UserError, match="not a JSON file"):
        made("something-v2", tmp_path)


def test_moments(tmp_path: Path) -> None:
    write(tmp_path, {"moments_categories.txt": "clapping,0\nadult+male+singing,1\n"})
    write(
        tmp_path,
        {"trainingSet.csv": "clapping/a-1.mp4,clapping,3,0\n", "validationSet.csv": "clapping/b.mp4,clapping,2,1\n"},
    )
    touch(tmp_path, "training/clapping/a-1.mp4", "validation/clapping/b.mp4")
    assert rows(made("moments", tmp_path)) == [
        ("clapping/a-1", "training/clapping/a-1.mp4", "clapping", "train"),
        ("clapping/b", "validation/clapping/b.mp4", "clapping", "val"),
    ]
    assert made("moments", tmp_path).classes == ("clapping", "adult+male+singing")
    assert rows(made("mini-mit", tmp_path)) == rows(made("moments", tmp_path))  # handed out in the same form


def test_sports1m(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "original").mkdir()
    write(tmp_path, {"labels.txt": "boomerang\nboxing\nbowling\n"})
    (tmp_path / "original" / "train_partition.txt").write_text("https://www.youtube.com/watch?v=UDqivjS-lpI 2,1\n")
    (tmp_path / "original" / "test_partition.txt").write_text("http://www.youtube.com/watch?v=_DqivjS-lpI 0\n")
    touch(tmp_path, "UDqivjS-lpI.mp4", "_DqivjS-lpI.flv")
    assert rows(made("sports1m", tmp_path)) == [
        ("UDqivjS-lpI", "UDqivjS-lpI.mp4", "bowling", "train"),
        ("_DqivjS-lpI", "_DqivjS-lpI.flv", "boomerang", "test"),
    ]
    assert "1 videos have several labels" in caplog.text
    (tmp_path / "original" / "test_partition.txt").write_text("http://www.youtube.com/watch?v=_DqivjS-lpI 3\n")
    with pytest.raises(UserError, match="label '3' is out of range"):
        made("sports1m", tmp_path)


def test_imagenet(tmp_path: Path) -> None:
    touch(tmp_path, "train/n02012849/n02012849_1.JPEG", "train/n01440764/n01440764_5.JPEG")
    touch(tmp_path, "val/ILSVRC2012_val_00000001.JPEG", "val/n03126707/x.jpg")
    with pytest.raises(UserError, match=r"no annotation file named LOC_val_solution.csv"):
        made("imagenet", tmp_path)
    (tmp_path / "LOC_val_solution.csv").write_text(
        "ImageId,PredictionString\nILSVRC2012_val_00000001,n01440764 1 2 3 4 n01440764 5 6 7 8\n"
    )
    assert made("imagenet", tmp_path).classes == ("n01440764", "n02012849", "n03126707")
    index = {"0": ["n01440764", "tench"], "1": ["n02012849", "crane"], "2": ["n03126707", "crane"]}
    write(tmp_path, {"imagenet_class_index.json": index})
    manifest = made("imagenet", tmp_path)
    assert manifest.classes == ("tench", "crane (n02012849)", "crane (n03126707)")
    assert rows(manifest) == [
        ("train/n01440764/n01440764_5", "train/n01440764/n01440764_5.JPEG", "tench", "train"),
        ("train/n02012849/n02012849_1", "train/n02012849/n02012849_1.JPEG", "crane (n02012849)", "train"),
        ("val/ILSVRC2012_val_00000001", "val/ILSVRC2012_val_00000001.JPEG", "tench", "val"),
        ("val/n03126707/x", "val/n03126707/x.jpg", "crane (n03126707)", "val"),
    ]
    assert {record.num_frames for record in manifest} == {1}


def counts(entries: list[Entry]) -> dict[str, int]:
    return dict(Counter(entry.split for entry in entries))


def test_real_annotations(shared_data: Path) -> None:
    notes = shared_data / "annotations"
    ucf = DATA_SETS["ucf101"].read(notes / "ucf101", notes)
    assert [counts(listing.entries) for listing in ucf] == [
        {"train": 9537, "test": 3783},
        {"train": 9586, "test": 3734},
        {"train": 9624, "test": 3696},
    ]
    hmdb = DATA_SETS["hmdb51"].read(notes / "hmdb51", notes)
    assert [counts(listing.entries) for listing in hmdb] == [{"train": 3570, "test": 1530}] * 3
    assert [len(listing.classes) for listing in (*ucf, *hmdb)] == [101] * 3 + [51] * 3
    for listing in (*ucf, *hmdb):  # no official split tears a group apart
        homes = {(entry.group, entry.split) for entry in listing.entries}
        assert len({group for group, _ in homes}) == len(homes)
    (kinetics,) = DATA_SETS["kinetics400"].read(notes, notes)
    assert (len(kinetics.classes), counts(kinetics.entries)) == (400, {"val": 19906})
    (mini,) = DATA_SETS["mini-kinetics-200"].read(notes, notes)
    assert (len(mini.classes), counts(mini.entries), len(mini.unlabelled)) == (200, {"val": 5000}, 80000)
    (ibm,) = DATA_SETS["mini-kinetics-ibm"].read(notes, notes)
    assert (len(ibm.classes), counts(ibm.entries)) == (200, {"val": 9947})


def test_real_class_lists(shared_data: Path, tmp_path: Path) -> None:
    notes = shared_data / "annotations" / "something-something"
    labels = (notes / "label_map_sthv2.txt").read_text().splitlines()
    touch(tmp_path, "1.webm", "2.webm")
    write(
        tmp_path,
        {
            "labels.json": {name: str(number) for number, name in enumerate(labels)},
            "train.json": [{"id": "1", "template": labels[0]}, {"id": "2", "template": labels[2]}],
        },
    )
    assert made("something-v2", tmp_path).no_flip == {
        "Pulling something from left to right",
        "Pulling something from right to left",
        "Pushing something from left to right",
        "Pushing something from right to left",
        "Turning the camera left while filming something",
        "Turning the camera right while filming something",
    }
    (tmp_path / "ibm_mini_ssv2_classes.txt").write_text((notes / "ibm_mini_ssv2_classes.txt").read_text())
    mini = made("mini-ssv2", tmp_path)
    assert len(mini.classes) == 87
    assert len(mini.no_flip) == 3


def test_real_clips_under_their_official_lists(shared_data: Path) -> None:
    clips = shared_data / "ucf101_8c"
    of_folder, of_official = (
        make_manifests("ucf101", videos=clips, annotations=lists, missing="drop").manifests
        for lists in (clips, shared_data / "annotations" / "ucf101")
    )
    assert [(part.count("train"), part.count("test")) for part in of_folder.values()] == [
        (743, 297),
        (747, 293),
        (761, 279),
    ]
    for name, manifest in of_folder.items():
        manifest.validate()
        assert manifest.video_ids == of_official[name].video_ids
    kinetics = make_manifests(
        "kinetics400", videos=shared_data / "kinetics400_8", annotations=shared_data / "annotations", missing="drop"
    ).manifests["kinetics400"]
    assert Counter(record.label for record in kinetics) == {"arm wrestling": 4, "bungee jumping": 4}
