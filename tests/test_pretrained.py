"""Published files, served here, and torchvision's weights, which are made up here."""

import dataclasses
import hashlib
import os
import pathlib
import socket
import threading

import numpy as np
import pytest
from byte_range_server import serve

from helpers import pretrained, settings
from helpers.efficientnet import build_efficientnet_lite0
from helpers.models import build_resnet18, build_small_resnet
from helpers.movinet import build_movinet_a0
from helpers.pretrained import TORCHVISION, fetch_published, kinetics600_labels, load_torchvision

CONTENT = np.random.default_rng(0).bytes(200_000)
NAME = "MOVINET_A0_WEIGHTS"
LABELS = pathlib.Path(os.environ.get("KINETICS600_LABELS") or "")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder `data/published` of the current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "published"


@pytest.fixture
def published(folder, monkeypatch):
    """A file that stands for MoViNet's, outside of `folder`, where it is to be served."""
    checksum = hashlib.sha256(CONTENT).hexdigest()
    file = pretrained._PUBLISHED[NAME]._replace(checksum=checksum)
    monkeypatch.setitem(pretrained._PUBLISHED, NAME, file)
    path = folder.parent.parent / "server" / "file.tflite"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def kept(folder):
    """Return the content of each file in a folder by its name, but for the lock."""
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.name != ".lock"}


def test_each_published_file_has_an_address_and_a_checksum():
    assert set(pretrained._PUBLISHED) == set(settings.PUBLISHED)
    for name, file in pretrained._PUBLISHED.items():
        assert settings.PUBLISHED[name].startswith("https://")
        assert 8 <= len(file.checksum) <= 64 and int(file.checksum, 16)


def test_a_file_is_downloaded_once(folder, published, monkeypatch):
    with serve(published) as server:
        monkeypatch.setenv(NAME, server.url)
        path = fetch_published(NAME)
        assert path == folder / "movinet_a0_stream_int8.tflite"
        assert kept(folder) == {path.name: CONTENT}
        assert fetch_published(NAME) == path and server.requests == 1
    assert fetch_published(NAME) == path, "no server is needed any more"


def test_several_processes_download_a_file_once(folder, published, monkeypatch):
    with serve(published) as server:
        monkeypatch.setenv(NAME, server.url)
        threads = [threading.Thread(target=fetch_published, args=[NAME]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.requests == 1 and list(kept(folder).values()) == [CONTENT]


@pytest.mark.parametrize("damaged", [b"", CONTENT[:-1], b"X" + CONTENT[1:]])
def test_a_damaged_file_is_downloaded_again(damaged, folder, published, monkeypatch):
    folder.mkdir(parents=True)
    path = folder / "movinet_a0_stream_int8.tflite"
    path.write_bytes(damaged)
    with serve(published) as server:
        monkeypatch.setenv(NAME, server.url)
        assert fetch_published(NAME) == path
    assert kept(folder) == {path.name: CONTENT}


def expect_error(*words):
    """Assert that the file can't be had, and that the error is a sentence that says what to do."""
    with pytest.raises(ValueError) as caught:
        fetch_published(NAME)
    message = str(caught.value)
    assert message.startswith(f"{os.environ[NAME]} ") and message.endswith(
        f"set {NAME} to its path."
    )
    for word in ("in a browser", *words):
        assert word in message


@pytest.mark.parametrize(
    "fault, words",
    [
        (404, "the server answered 404"),
        (503, "the server answered 503"),
        ("cut", "100000 bytes read, 100000 more expected"),
        ("hang up", "0 bytes read, 200000 more expected"),
        ("stall", "timed out"),
        ("silence", "timed out"),
    ],
)
def test_error_says_what_the_server_did(fault, words, folder, published, monkeypatch):
    monkeypatch.setattr(pretrained, "TIMEOUT", 0.2)
    with serve(published, faults=[fault]) as server:
        monkeypatch.setenv(NAME, server.url)
        expect_error(f"({words})" if isinstance(fault, int) else words, "try again")
        assert kept(folder) == {}
        assert fetch_published(NAME).read_bytes() == CONTENT


def test_error_says_that_there_is_no_server(folder, published, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv(NAME, f"http://127.0.0.1:{port}/file.tflite")
    expect_error("Connection refused", "try again")
    assert kept(folder) == {}


@pytest.mark.parametrize("url", ["http://a b/c", "http://[::/c", "nonsense://host/file"])
def test_error_names_an_address_that_is_none(url, folder, monkeypatch):
    monkeypatch.setenv(NAME, url)
    expect_error("can't be downloaded")


def test_another_file_is_not_kept(folder, published, monkeypatch):
    published.write_bytes(b"A page that says that you have to log in")
    with serve(published) as server:
        monkeypatch.setenv(NAME, server.url)
        expect_error("sent 40 bytes that are not the published file")
    assert kept(folder) == {}


@pytest.mark.parametrize("source", ["weights.tflite", "/a/folder/weights.tflite", "~/weights"])
def test_a_path_is_returned_as_it_is(source, folder, monkeypatch):
    monkeypatch.setenv(NAME, source)
    assert fetch_published(NAME) == pathlib.Path(source).expanduser()
    assert not folder.exists()


@pytest.fixture
def labels(monkeypatch, tmp_path):
    """The list of 600 made-up classes that counts as the published one, and its file."""
    names = [f"action {i}" for i in range(600)]
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(names))
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    file = pretrained._PUBLISHED["KINETICS600_LABELS"]._replace(checksum=checksum)
    monkeypatch.setitem(pretrained._PUBLISHED, "KINETICS600_LABELS", file)
    monkeypatch.setenv("KINETICS600_LABELS", str(path))
    return names, path


@pytest.mark.parametrize("line_end", ["\n", "\r\n", " \n"])
@pytest.mark.parametrize("last", [True, False])
def test_labels_are_read_whatever_ends_their_lines(line_end, last, labels):
    names, path = labels
    path.write_bytes((line_end.join(names) + line_end * last).encode())
    assert kinetics600_labels() == names


def test_labels_are_downloaded(labels, folder, monkeypatch):
    names, path = labels
    path.write_text("\r\n".join(names))
    with serve(path) as server:
        monkeypatch.setenv("KINETICS600_LABELS", server.url)
        assert kinetics600_labels() == kinetics600_labels() == names and server.requests == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda names: names[:-1],
        lambda names: [*names, "more"],
        lambda names: sorted(names, reverse=True),
        lambda names: ["action0", *names[1:]],
        lambda names: [],
    ],
)
def test_another_list_of_labels_is_refused(change, labels):
    names, path = labels
    path.write_text("\n".join(change(names)))
    words = f"^{path} is not the list .*; download it from https://.*labels.txt.$"
    with pytest.raises(ValueError, match=words):
        kinetics600_labels()


def test_error_names_a_list_of_labels_that_cannot_be_opened(labels):
    _, path = labels
    path.unlink()
    words = rf"^{path} can't be read \(No such file .*; set KINETICS600_LABELS to the path of"
    with pytest.raises(ValueError, match=words):
        kinetics600_labels()


@pytest.mark.skipif(not LABELS.is_file(), reason="set KINETICS600_LABELS to the path of the list")
def test_the_published_labels_are_read(monkeypatch):
    monkeypatch.setenv("KINETICS600_LABELS", str(LABELS))
    names = kinetics600_labels()
    assert len(set(names)) == 600 and names == sorted(names) and "playing cello" in names


SIZE = {"n_frames": 2, "height": 16, "width": 16}
CONVS = ("2plus1d", "3d", "mc3")


def build(conv, num_classes=400):
    return build_resnet18(conv, num_classes, **SIZE, **TORCHVISION)


def torchvision_state(conv, num_classes=400):
    """Return a state dict of torchvision's network, with the tensors numbered in its order."""
    shapes = {}

    def add_norm(name, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    def add_conv(name, into, out, kernel=(3, 3, 3), mid=None):
        """Add a convolution; with mid channels a (2+1)D one, which is a sequence."""
        time, *area = kernel
        if mid is None:
            shapes[f"{name}.weight"] = (out, into, *kernel)
        else:
            shapes[f"{name}.0.weight"] = (mid, into, 1, *area)
            add_norm(f"{name}.1", mid)
            shapes[f"{name}.3.weight"] = (out, mid, time, 1, 1)

    if conv == "2plus1d":
        add_conv("stem", 3, 64, (3, 7, 7), mid=45)
        add_norm("stem.4", 64)
    else:
        add_conv("stem.0", 3, 64, (3, 7, 7))
        add_norm("stem.1", 64)
    into = 64
    for stage, out in enumerate((64, 128, 256, 512), start=1):
        kernel = (1, 3, 3) if conv == "mc3" and stage > 1 else (3, 3, 3)
        for block in range(2):
            name = f"layer{stage}.{block}"
            mid = 27 * into * out // (9 * into + 3 * out) if conv == "2plus1d" else None
            for i in (1, 2):
                add_conv(f"{name}.conv{i}.0", into if i == 1 else out, out, kernel, mid)
                add_norm(f"{name}.conv{i}.1", out)
            if into != out:
                add_conv(f"{name}.downsample.0", into, out, (1, 1, 1))
                add_norm(f"{name}.downsample.1", out)
            into = out
    shapes |= {"fc.weight": (num_classes, 512), "fc.bias": (num_classes,)}
    # An array of one number repeated takes no memory.
    return {
        name: np.broadcast_to(np.float32(i), shape)
        for i, (name, shape) in enumerate(shapes.items())
    }


@pytest.mark.parametrize("conv", CONVS)
def test_torchvisions_weights_go_to_the_layers_of_their_names(conv):
    model, state = build(conv), torchvision_state(conv)
    assert load_torchvision(model, state) is model
    counts = [name for name in state if name.endswith("num_batches_tracked")]
    numbers = [np.unique(weight) for weight in model.get_weights()]
    assert all(len(number) == 1 for number in numbers)
    found = sorted(float(number[0]) for number in numbers)
    assert found == sorted(float(np.max(state[name])) for name in set(state) - set(counts))
    places = {
        "stem_norm": "stem.4" if conv == "2plus1d" else "stem.1",
        "stage2_block1_norm1": "layer2.0.conv1.1",
        "stage2_block1_norm2": "layer2.0.conv2.1",
        "stage4_block1_shortcut_norm": "layer4.0.downsample.1",
        "stage4_block2_norm2": "layer4.1.conv2.1",
        "logits": "fc",
    }
    for ours, theirs in places.items():
        parts = ("weight", "bias", "running_mean", "running_var")
        expected = [
            state[f"{theirs}.{part}"].flat[0] for part in parts if f"{theirs}.{part}" in state
        ]
        assert [weight.flat[0] for weight in model.get_layer(ours).get_weights()] == expected


def test_without_the_top_torchvisions_weights_fit_any_number_of_classes():
    model, state = build("mc3", 5), torchvision_state("mc3")
    before = model.get_layer("logits").get_weights()
    load_torchvision(model, state, include_top=False)
    for one, other in zip(before, model.get_layer("logits").get_weights()):
        np.testing.assert_array_equal(one, other)
    assert np.all(np.array(model.get_layer("stem").kernel) == state["stem.0.weight"].max())


OTHER_OPTIONS = [
    {},
    TORCHVISION | {"symmetric": False},
    TORCHVISION | {"epsilon": 1e-3},
    TORCHVISION | {"mean": (0.0, 0.0, 0.0)},
    TORCHVISION | {"deviation": (1.0, 1.0, 1.0)},
    TORCHVISION | {"subtract_mean": True},
]


@pytest.mark.parametrize("options", OTHER_OPTIONS)
def test_a_network_with_other_options_than_torchvisions_is_refused(options):
    model = build_resnet18("mc3", **SIZE, **options)
    with pytest.raises(ValueError, match=r'build_resnet18\("mc3", \*\*TORCHVISION\)\.$'):
        load_torchvision(model, torchvision_state("mc3"))


@pytest.mark.parametrize(
    "model",
    [lambda: build("2d"), lambda: build_small_resnet(400, 4, 32, 32), build_movinet_a0],
    ids=["2d", "small_resnet", "movinet_a0"],
)
def test_a_network_that_torchvision_does_not_have_is_refused(model):
    with pytest.raises(ValueError, match='none of torchvision\'s.*conv="2plus1d", "3d" or "mc3"'):
        load_torchvision(model(), {})


@pytest.mark.parametrize(
    "ours, theirs, words",
    [
        ("mc3", "3d", "layer2.0.conv1.0.weight has the shape (128, 64, 3, 3, 3)"),
        ("3d", "mc3", "layer2.0.conv1.0.weight has the shape (128, 64, 1, 3, 3)"),
        ("3d", "2plus1d", "stem.0.weight has the shape (45, 3, 1, 7, 7)"),
        ("2plus1d", "3d", "stem.0.weight has the shape (64, 3, 3, 7, 7)"),
    ],
)
def test_another_networks_weights_are_refused_and_change_nothing(ours, theirs, words):
    model = build(ours)
    before = model.get_weights()
    with pytest.raises(ValueError, match="^The state dict has the weights of another") as caught:
        load_torchvision(model, torchvision_state(theirs))
    assert words in str(caught.value)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_another_number_of_classes_is_refused():
    words = "5 classes, but the weights of The state dict have 400; pass include_top=False"
    with pytest.raises(ValueError, match=words):
        load_torchvision(build("mc3", 5), torchvision_state("mc3"))


@pytest.mark.parametrize(
    "network, inputs",
    [
        ("movinet_a0", {"size": 172, "n_frames": 16, "frame_step": 5}),
        ("efficientnet_lite0", {"size": 224, "n_frames": 16, "frame_step": 10}),
        ("resnet18", {"size": 112, "n_frames": 16, "frame_step": 2}),
    ],
)
def test_settings_suit_the_published_weights(network, inputs):
    before = settings.current("ucf101")
    for epochs, options in ((6, {"fine_tune": True}), (1, {"fine_tune": False}), (1, {})):
        expected = dataclasses.replace(before, epochs=epochs, **inputs)
        assert pretrained.suit_settings(before, network, **options) == expected


def test_published_weights_are_read_from_where_the_environment_says(monkeypatch):
    read = []

    def note(path):
        read.append(str(path))
        return torchvision_state("mc3")

    monkeypatch.setattr(pretrained, "read_state_dict", note)
    monkeypatch.setenv("RESNET18_MC3_WEIGHTS", "mc3.pth")
    assert pretrained.load_published(build("mc3", 5)).name == "resnet18_mc3"
    pretrained.load_published(build("mc3"), include_top=True)
    assert read == ["mc3.pth"] * 2
    monkeypatch.setenv(NAME, "missing.tflite")
    with pytest.raises(ValueError, match="^missing.tflite can't be read"):
        pretrained.load_published(build_movinet_a0(5))


def test_published_weights_of_images_need_no_download(folder):
    model = build_efficientnet_lite0(5, height=32, width=32)
    before = model.get_layer("stem").get_weights()
    assert pretrained.load_published(model) is model
    assert not np.array_equal(before, model.get_layer("stem").get_weights())
    assert not folder.exists()


@pytest.mark.parametrize("model", [lambda: build("2d"), lambda: build_small_resnet(5, 4, 32, 32)])
def test_a_network_without_published_weights_is_refused(model):
    words = "has no published weights; choose movinet_a0, efficientnet_lite0, or resnet18 with"
    with pytest.raises(ValueError, match=words):
        pretrained.load_published(model())
