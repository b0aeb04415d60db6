import matplotlib

matplotlib.use("Agg")

import html.parser
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from helpers import diagrams, models, plots
from helpers.predict import Prediction
from helpers.timeline import Timeline


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


HISTORY = {
    "loss": [2.0, 1.0],
    "val_loss": [2.5, 1.5],
    "accuracy": [0.1, 0.6],
    "val_accuracy": [0.1, 0.4],
}
FRAMES = np.random.default_rng(0).integers(0, 256, (5, 12, 16, 3), dtype=np.uint8)


def test_history_shows_both_sets_for_a_history_or_its_dict():
    class History:
        history = HISTORY

    for history in (HISTORY, History()):
        loss, accuracy = plots.plot_history(history).axes
        assert [line.get_ydata().tolist() for line in loss.lines] == [
            HISTORY["loss"],
            HISTORY["val_loss"],
        ]
        assert [line.get_ydata().tolist() for line in accuracy.lines] == [
            HISTORY["accuracy"],
            HISTORY["val_accuracy"],
        ]
        assert {line.get_linestyle() for line in loss.lines} == {"-", "--"}, (
            "colour alone doesn't print in grey"
        )


def test_confusion_matrix_counts_actual_in_rows_and_predicted_in_columns():
    axis = plots.plot_confusion_matrix([0, 0, 1], [0, 1, 1], ["jump", "run", "swim"], "Test clips")
    texts = np.array([text.get_text() for text in axis.texts]).reshape(3, 3)
    assert texts.tolist() == [["1", "1", ""], ["", "1", ""], ["", "", ""]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["jump", "run", "swim"]
    assert axis.get_title("left") == "Test clips" and axis.get_ylabel().startswith("Actual")


def test_confusion_matrix_of_a_hundred_classes_shows_shades_and_every_name():
    truth = np.repeat(np.arange(101), 3)
    axis = plots.plot_confusion_matrix(
        truth, np.roll(truth, 3), [f"class {i}" for i in range(101)], "Many"
    )
    assert not axis.texts and len(axis.get_yticklabels()) == len(axis.get_xticklabels()) == 101
    shades = axis.collections[0].get_array().reshape(101, 101)
    assert shades[1, 0] == 3 and shades.sum() == 303


def test_reliability_has_a_mark_and_a_number_for_each_bin():
    axis = plots.plot_reliability([0.3, 0.9], [0.5, 0.8], [4, 12])
    np.testing.assert_allclose(axis.collections[1].get_offsets(), [[0.3, 0.5], [0.9, 0.8]])
    assert [text.get_text() for text in axis.texts] == ["4", "12"]


def test_scores_against_what_was_varied_have_a_dot_each_and_a_line_through_the_means():
    axis = plots.plot_against({"ours": {0: [0.2, 0.4], 1: [0.9]}}, "share", "accuracy")
    line, *dots = axis.lines
    np.testing.assert_allclose([line.get_xdata(), line.get_ydata()], [[0, 1], [0.3, 0.9]])
    assert [(set(dot.get_xdata()), list(dot.get_ydata())) for dot in dots] == [
        ({0}, [0.2, 0.4]),
        ({1}, [0.9]),
    ]


def test_precision_recall_plot_bears_an_undefined_precision():
    axis = plots.plot_precision_recall(
        {"jump": 0.5, "run": float("nan")}, {"jump": 1.0, "run": 0.0}
    )
    assert [label.get_text() for label in axis.get_yticklabels()] == ["jump", "run"]
    precision, recall = (line.get_xdata() for line in axis.lines)
    np.testing.assert_array_equal(precision, [0.5, np.nan])
    np.testing.assert_array_equal(recall, [1, 0])


def test_seeds_plot_draws_mean_and_band():
    records = [{"history": {"accuracy": [0.1, 0.5]}}, {"history": {"accuracy": [0.3, 0.9]}}]
    axis = plots.plot_seeds({"ours": records})
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [0.2, 0.7])
    assert axis.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(0.9)


def test_plot_over_time_has_a_row_for_each_class_and_frames_what_is_known():
    prediction = Prediction(
        ["jump", "run"],
        np.array([[0, 2], [1, 3.0]]),
        np.array([[0.9, 0.1], [0.2, 0.8]]),
        75,
        3.2,
        (48, 64),
        [],
    )
    axis = plots.plot_over_time(prediction, [(0, 1.5, "jump"), (1.5, 3.2, "run")])
    np.testing.assert_allclose(axis.collections[0].get_array(), [[0.9, 0.2], [0.1, 0.8]])
    assert axis.collections[0].get_clim() == (0, 1) and axis.get_xlim() == (0, 3.2)
    corners = axis.collections[0].get_coordinates()
    np.testing.assert_allclose(
        corners[:, 0, 1], [-0.5, 0.5, 1.5], err_msg="a class's row lies about its label"
    )
    np.testing.assert_allclose(
        corners[0, :, 0], [0, 1.5, 3.2], err_msg="a window's share of the time"
    )
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "jump",
        "run",
    ] and axis.yaxis_inverted()
    assert [patch.get_bbox().bounds for patch in axis.patches] == [
        (0, -0.5, 1.5, 1),
        (1.5, 0.5, pytest.approx(1.7), 1),
    ]


def test_scores_have_a_dot_each_and_a_line_at_their_mean():
    axis = plots.plot_scores({"with": [0.5, 0.7], "without": [0.2, 0.3, 0.4]}, "accuracy")
    drawn = [(line.get_xdata().tolist(), set(line.get_ydata())) for line in axis.lines]
    assert [len(x) for x, _ in drawn] == [2, 1, 3, 1] and [y for _, y in drawn] == [
        {0},
        {0},
        {1},
        {1},
    ]
    assert drawn[1][0] == pytest.approx([0.6]) and drawn[3][0] == pytest.approx([0.3])
    assert [text.get_text() for text in axis.get_yticklabels()] == ["with", "without"]
    assert axis.yaxis_inverted()


def test_timelines_have_a_row_for_each_thread_and_share_a_scale():
    alone, together = Timeline(), Timeline()
    alone.spans = [("reading", 1, 5.0, 7.0), ("network", 1, 7.0, 8.0)]
    together.spans = [("reading", 1, 0.0, 1.0), ("reading", 2, 0.5, 1.0), ("network", 3, 1.0, 1.0)]
    first, second = plots.plot_timelines({"One": alone, "Two": together}).axes
    assert [len(axis.get_yticks()) for axis in (first, second)] == [2, 3]
    assert [axis.get_title("left") for axis in (first, second)] == ["One", "Two"]
    assert first.get_xlim() == second.get_xlim() and min(bar.get_x() for bar in first.patches) == 0
    colours = {bar.get_facecolor() for bar in first.patches}
    assert len(colours) == 2 and {bar.get_facecolor() for bar in second.patches} == colours
    assert all(bar.get_width() > 0 for bar in second.patches), "the shortest are still seen"


def test_chosen_frames_have_a_mark_each():
    axis = plots.plot_frame_choices({"all": range(20), "few": [3, 9]}, 20)
    assert [line.get_xdata().tolist() for line in axis.lines] == [list(range(20)), [3, 9]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["all", "few"]


def test_film_strip_shows_first_and_last_frame():
    figure = plots.plot_film_strip([FRAMES, FRAMES[::-1]], ["forwards", "backwards"], columns=3)
    images = [axis.images[0].get_array() for axis in figure.axes]
    np.testing.assert_array_equal(images[0], FRAMES[0])
    np.testing.assert_array_equal(images[2], FRAMES[-1])
    np.testing.assert_array_equal(images[3], FRAMES[-1])


def test_any_text_may_describe_a_moving_picture():
    text = """The "moon" & it's <b>walk</b>"""

    class Finder(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert (
                tag == "img"
                and dict(attributes)["alt"] == text
                and set(dict(attributes)) == {"alt", "width", "src"}
            )

    Finder().feed(plots.show_animation(FRAMES, text).data)


def test_moving_picture_holds_all_frames_and_says_what_it_shows():
    gif = Image.open(io.BytesIO(plots.encode_gif(FRAMES, fps=5)))
    assert gif.n_frames == 5 and gif.info["duration"] == 200
    shown = plots.show_animation(FRAMES, "A figure jumps.").data
    assert 'alt="A figure jumps."' in shown and "base64," in shown


def test_pictures_are_opaque():
    figure = plots.plot_history(HISTORY)
    file = io.BytesIO()
    figure.savefig(file)
    assert np.array(Image.open(file).convert("RGBA"))[..., 3].min() == 255


@pytest.mark.parametrize(
    "build", [models.build_tutorial_model, models.build_small_resnet, models.build_resnet18]
)
def test_network_diagram_has_a_shortcut_for_each_block_and_every_shape(build):
    model = build()
    figure = diagrams.draw_network(model)
    texts = [text.get_text() for text in figure.axes[0].texts]
    adds = [layer for layer in model.layers if type(layer).__name__ == "Add"]
    arrows = [
        patch for patch in figure.axes[0].patches if type(patch).__name__ == "FancyArrowPatch"
    ]
    assert len(arrows) == len(adds)
    assert sum(text.count("add") for text in texts) == len(adds)
    assert " × ".join(map(str, adds[-1].output.shape[1:])) in texts


def test_convolutions_diagram_fills_what_an_output_sees():
    filled = [
        sum(patch.get_facecolor()[:3] != (1, 1, 1) for patch in axis.patches)
        for axis in diagrams.draw_convolutions().axes
    ]
    assert filled == [9, 27, 9, 3]


def test_maps_colour_frames_where_they_are_high_and_leave_them_grey_elsewhere():
    maps = np.zeros((5, 12, 16))
    maps[:, 2:6, 3:9] = 1
    shown = plots.overlay_map(FRAMES, maps, top=1).astype(int)
    assert shown.shape == FRAMES.shape
    assert np.ptp(shown[:, 7:], axis=-1).max() == 0, "grey where there is nothing to show"
    assert (shown[:, 3:5, 4:8, 0] > shown[:, 3:5, 4:8, 2] + 50).all(), "orange inside"
    assert (shown[:, 2, 3:9] == 40).all() and (shown[:, 3:5, 3] == 40).all(), (
        "a dark line around it"
    )


def test_filters_are_drawn_with_grey_for_no_weight_and_each_at_its_own_scale():
    kernel = np.zeros((3, 3, 3, 2))
    kernel[1, 1, 0, 0], kernel[0, 0, 2, 1] = 0.1, -7.0
    first, second = (
        axis.images[0].get_array() for axis in plots.plot_filters({"stem": kernel}).axes
    )
    np.testing.assert_allclose(first[1, 1], [1, 0.5, 0.5])
    np.testing.assert_allclose(second[0, 0], [0.5, 0.5, 0])


def test_temporal_filters_have_a_panel_for_each_output_and_the_strongest_in_bold():
    kernel = np.random.default_rng(0).normal(size=(3, 4, 2))
    kernel[1, 3, 1] = 9
    axes = plots.plot_temporal_filters({"before": kernel, "after": kernel}).axes
    assert [len(axis.lines) for axis in axes] == [1 + 4 + 1] * 4
    np.testing.assert_array_equal(axes[1].lines[-1].get_ydata(), kernel[:, 3, 1])
    assert axes[0].get_title("left") == "before"
