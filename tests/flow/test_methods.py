"""TV-L1 in torch against OpenCV's, against known motion and against itself; what methods refuse."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from kinema.errors import UserError
from kinema.flow import iteration
from kinema.flow.iteration import Iteration
from kinema.flow.median import median_by_exchanges, median_filter
from kinema.flow.methods import find_method, grey
from kinema.flow.parameters import DisParameters, FarnebackParameters, TvL1Parameters
from kinema.flow.tvl1 import resized
from kinema.video.open import open_video

HEIGHT, WIDTH = 60, 80


def texture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A picture known between its pixels too: waves of many directions and lengths."""
    rng = np.random.default_rng(3)
    waves = sum(
        np.sin(np.cos(turn) * rate * x + np.sin(turn) * rate * y + start)
        for turn, rate, start in rng.uniform([0, 0.1, 0], [3.1, 0.6, 6], (24, 3))
    )
    return np.clip(128 + 18 * waves, 0, 255)


def moved(matrix: np.ndarray, shift: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Two frames and the true flow when each point goes to ``matrix`` times itself plus ``shift``, about the middle."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    points = np.stack([x - WIDTH / 2, y - HEIGHT / 2], -1)
    before = (points - shift) @ np.linalg.inv(matrix).T
    frames = [texture(points[..., 0], points[..., 1]), texture(before[..., 0], before[..., 1])]
    first, second = (torch.from_numpy(np.round(frame).astype(np.uint8))[None, None] for frame in frames)
    return first, second, points @ matrix.T + shift - points


def turned(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


def distance(flow: torch.Tensor, other: np.ndarray | torch.Tensor) -> np.ndarray:
    """End-point differences, axes ``h w``."""
    return np.linalg.norm(flow[0].permute(1, 2, 0).numpy() - np.asarray(other), axis=-1)


@pytest.mark.parametrize(
    ("matrix", "shift"),
    [
        (np.eye(2), (2.3, -1.4)),
        (np.eye(2), (-5.0, 3.0)),
        (turned(3.0), (0.0, 0.0)),
        (1.06 * np.eye(2), (0.0, 0.0)),
        (0.95 * turned(-2.0), (1.0, 0.5)),
    ],
    ids=["shift", "far shift", "turn", "scale", "all"],
)
def test_known_motion(matrix: np.ndarray, shift: tuple[float, float]) -> None:
    first, second, truth = moved(matrix, shift)
    inside = np.s_[8:-8, 8:-8]
    ours = distance(find_method("tvl1").compute(first, second), truth)[inside].mean()
    theirs = distance(find_method("tvl1", "opencv").compute(first, second), truth)[inside].mean()
    assert ours < 0.15
    assert ours < theirs + 0.005
    assert distance(find_method("farneback").compute(first, second), truth)[inside].mean() < 0.5
    assert distance(find_method("dis").compute(first, second), truth)[inside].mean() < 0.5


def test_real_clips_agree_with_opencv(shared_data: Path) -> None:
    names = ["BabyCrawling", "JumpingJack", "Punch"]
    videos = [sorted((shared_data / "ucf101_8c" / name).glob("*.mp4"))[5] for name in names]
    for path in videos:
        with open_video(path) as video:
            frames = torch.from_numpy(video.frames_at([20, 21]).pixels).permute(0, 3, 1, 2)
        ours = find_method("tvl1").compute(frames[:1], frames[1:])
        theirs = find_method("tvl1", "opencv").compute(frames[:1], frames[1:])
        below = theirs[0].norm(dim=0).numpy() < 20
        assert theirs.abs().max() > 0.5, "nothing moves in this pair"
        assert distance(ours, theirs[0].permute(1, 2, 0))[below].mean() < 0.15


@pytest.mark.parametrize(
    ("name", "backend"), [("tvl1", "torch"), ("tvl1", "opencv"), ("farneback", "opencv"), ("dis", "opencv")]
)
@pytest.mark.parametrize("levels", [(0, 0), (255, 255), (90, 130)])
def test_constant_frames_have_no_flow(name: str, backend: str, levels: tuple[int, int]) -> None:
    first, second = (torch.full((2, 3, 24, 40), level, dtype=torch.uint8) for level in levels)
    flow = find_method(name, backend).compute(first, second)
    assert flow.shape == (2, 2, 24, 40)
    assert flow.dtype == torch.float32
    assert torch.equal(flow, torch.zeros_like(flow))


def test_dis_takes_frames_of_any_size() -> None:
    """Also long and low ones, of which OpenCV's own choice of levels makes maps lower than a patch."""
    rng = np.random.default_rng(0)
    for height, width in ((8, 8), (8, 64), (64, 8), (15, 300), (300, 15), (17, 31), (75, 131)):
        frame = torch.from_numpy(rng.integers(0, 256, (1, 1, height, width), dtype=np.uint8))
        flow = find_method("dis").compute(frame, frame.roll(1, 3))
        assert flow.shape == (1, 2, height, width)
        assert flow.isfinite().all()
        assert flow[0, 0].median() == pytest.approx(1.0, abs=0.25 if min(height, width) > 12 else 1.5)


def test_dis_does_not_depend_on_the_pairs_before() -> None:
    first, second, _ = moved(np.eye(2), (2.0, 1.0))
    alone = find_method("dis").compute(first, second)
    method = find_method("dis")
    method.compute(first[..., :20, :20], second[..., :20, :20])
    assert torch.equal(method.compute(first, second), alone)
    assert torch.equal(method.compute(torch.cat([first, first]), torch.cat([first, second]))[1:], alone)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"patch_stride": 5}, "patch_stride must be between 1 and 4; given 5"),
        ({"finest_scale": -1}, "finest_scale must be at least 0; given -1"),
        ({"gradient_descent_iterations": 0}, "gradient_descent_iterations must be at least 1; given 0"),
        ({"variational_refinement_alpha": -1.0}, "variational_refinement_alpha must be at least 0; given -1.0"),
    ],
)
def test_bad_parameters_of_dis_are_refused(options: dict[str, float], error: str) -> None:
    with pytest.raises(UserError, match=error):
        DisParameters(**options)


def test_equal_frames_have_no_flow() -> None:
    first, second, _ = moved(np.eye(2), (1.0, 0.0))
    flow = find_method("tvl1").compute(torch.cat([first, first]), torch.cat([first, second]))
    assert torch.equal(flow[0], torch.zeros_like(flow[0]))
    assert torch.equal(flow[1:], find_method("tvl1").compute(first, second)), "and leave those beside them alone"


def test_every_pair_stops_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together on one device, as on a GPU, or one after the other: the same flow."""
    from kinema.flow.tvl1 import _flow

    pairs = [moved(np.eye(2), (2.0, 1.0)), moved(turned(2.0), (0.0, 0.0)), moved(np.eye(2), (0.0, 0.0))]
    first, second = (torch.cat([pair[place] for pair in pairs])[:, 0] for place in (0, 1))
    parameters = TvL1Parameters(nscales=2, warps=2, epsilon=0.03)
    alone = [_flow(first[i : i + 1], second[i : i + 1], parameters) for i in range(3)]
    together = _flow(first, second, parameters)
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-3)
    assert together[2].abs().max() < 0.02, "equal frames"
    monkeypatch.setattr(iteration, "BAND_VALUES", len(first) * 20 * WIDTH)
    torch.testing.assert_close(_flow(first, second, parameters), together, rtol=0, atol=1e-3)


def iterate(
    u: torch.Tensor, q: torch.Tensor, w: torch.Tensor, data: torch.Tensor, limit: float, tau: float, taut: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Do one iteration as it is written down: gives the new ``u`` and ``q`` and the changes."""
    t = (data[:, 2] + data[:, 0] * u[:, 0] + data[:, 1] * u[:, 1]).clamp(-limit, limit)
    left = functional.pad(q[:, 0, ..., :-1], (1, 0))
    above = functional.pad(q[:, 1, :, :-1], (0, 0, 1, 0))
    du = t[:, None] * w + (q[:, 0] - left + q[:, 1] - above)
    new = u + du
    g_x = functional.pad(new[..., 1:] - new[..., :-1], (0, 1))
    g_y = functional.pad(new[:, :, 1:] - new[:, :, :-1], (0, 0, 0, 1))
    length = 1 + taut * (g_x * g_x + g_y * g_y).sqrt()
    return (
        new,
        torch.stack([(q[:, 0] + tau * g_x) / length, (q[:, 1] + tau * g_y) / length], 1),
        du.square().sum((1, 2, 3)),
    )


@pytest.mark.parametrize("band_values", [10**6, 2 * 13 * 4])
def test_iteration_does_what_is_written_down(band_values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iteration, "BAND_VALUES", band_values)
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(2, *shape, 18, 13, generator=generator, dtype=torch.float64)

    u, w, data = noise(2), noise(2), noise(3)
    q = torch.zeros(2, 2, 2, 18, 13, dtype=torch.float64)
    numbers = {"limit": 0.3, "tau": 0.25, "taut": 0.8}
    iterated = Iteration(u.clone(), q.clone(), w, data, **numbers)
    for _ in range(4):
        change = iterated()
        u, q, expected = iterate(u, q, w, data, *numbers.values())
        torch.testing.assert_close(change, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(iterated.u, u, rtol=0, atol=1e-12)
    torch.testing.assert_close(iterated.q, q, rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", [3, 5])
def test_medians_of_all_devices_are_equal(side: int) -> None:
    planes = torch.randn(2, 2, 21, 17, generator=torch.Generator().manual_seed(1))
    reach = side // 2
    padded = functional.pad(planes, (reach,) * 4, mode="replicate")
    expected = padded.unfold(2, side, 1).unfold(3, side, 1).flatten(4).median(-1).values
    assert torch.equal(median_filter(planes, side), expected)
    assert torch.equal(median_filter(planes[:, :1].expand(-1, 2, -1, -1), side), expected[:, :1].expand(-1, 2, -1, -1))
    assert torch.equal(median_by_exchanges(planes, side), expected)


@pytest.mark.parametrize("size", [(21, 34), (26, 27)])
def test_pyramid_is_opencvs(size: tuple[int, int]) -> None:
    frame = torch.rand(size, generator=torch.Generator().manual_seed(1))
    smaller = cv2.resize(frame.numpy(), None, fx=0.8, fy=0.8, interpolation=cv2.INTER_LINEAR)
    ours = resized(frame, smaller.shape, (1.25, 1.25))
    np.testing.assert_allclose(ours.numpy(), smaller, atol=1e-5)
    larger = cv2.resize(smaller, size[::-1], interpolation=cv2.INTER_LINEAR)
    scale = (smaller.shape[0] / size[0], smaller.shape[1] / size[1])
    np.testing.assert_allclose(resized(torch.from_numpy(smaller), size, scale).numpy(), larger, atol=1e-5)


def test_grey_is_opencvs() -> None:
    frames = torch.randint(0, 256, (2, 3, 30, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = [cv2.cvtColor(frame.permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2GRAY) for frame in frames]
    assert np.array_equal(grey(frames).numpy(), np.stack(expected))


def test_bad_frames_are_refused() -> None:
    method = find_method("tvl1")
    frames = torch.zeros(2, 3, 24, 32, dtype=torch.uint8)
    with pytest.raises(UserError, match=r"one size; given \(2, 3, 24, 32\) and \(2, 3, 24, 30\)"):
        method.compute(frames, frames[..., :30])
    with pytest.raises(UserError, match="uint8"):
        method.compute(frames.float(), frames.float())
    with pytest.raises(UserError, match="1 or 3 channels"):
        method.compute(frames[:, :2], frames[:, :2])
    with pytest.raises(UserError, match="32x4 px are too small"):
        method.compute(frames[:, :, :4], frames[:, :, :4])
    assert method.compute(frames[:0], frames[:0]).shape == (0, 2, 24, 32)


def test_methods_are_found_by_name() -> None:
    assert find_method("tvl1").backend == "torch"
    assert find_method("farneback").backend == find_method("dis").backend == "opencv"
    with pytest.raises(UserError, match=r"'tvl'; did you mean tvl1"):
        find_method("tvl")
    with pytest.raises(UserError, match="farneback has no torch backend"):
        find_method("farneback", "torch")
    with pytest.raises(UserError, match="takes TvL1Parameters; given FarnebackParameters"):
        find_method("tvl1", parameters=FarnebackParameters())
    with pytest.raises(UserError, match=r"median_filtering must be 1 \(none\), 3 or 5; given 4"):
        TvL1Parameters(median_filtering=4)


def test_version_tells_parameters_and_backends_apart() -> None:
    methods = [
        find_method("tvl1"),
        find_method("tvl1", parameters=TvL1Parameters(lambda_=0.2)),
        find_method("tvl1", "opencv"),
        find_method("farneback"),
        find_method("dis"),
        find_method("dis", parameters=DisParameters(finest_scale=2)),
    ]
    assert len({method.version for method in methods}) == len(methods)
    assert find_method("tvl1").version == find_method("tvl1", parameters=TvL1Parameters()).version


@pytest.mark.gpu
def test_gpu_agrees_with_cpu() -> None:
    first, second, _ = moved(turned(3.0), (1.0, 0.0))
    method = find_method("tvl1")
    on_gpu = method.compute(first, second, device="cuda")
    assert on_gpu.is_cuda
    assert distance(on_gpu.cpu(), method.compute(first, second)[0].permute(1, 2, 0)).mean() < 0.02
