"""The way from the views of videos to one row for each view: whatever runs a network over videos goes through here."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from kinema.compute.allocation import freed_memory_kept
from kinema.compute.process import Process
from kinema.data.bad_video import BadVideo
from kinema.data.network_input import network_input
from kinema.errors import UserError
from kinema.inference.batching import MAX_BATCH_VIEWS, ViewQueue, ViewRows, is_out_of_memory, views_that_fit
from kinema.inference.optimized import Chosen, as_it_is, choose
from kinema.inference.views import VideoViews
from kinema.shapes import Clip
from kinema.specs.loading import Loading
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.given import require_logits

log = logging.getLogger("kinema")


class Scorer:
    """Runs a network over the views of videos, several videos in a batch or several batches of a video, as it comes.

    Args:
        model: The network itself, on the process's device and not wrapped for data-parallel training, since processes
            may run it a different number of times. It works in evaluation mode and is left in its own.
        preprocessing: How the model wants its input normalised.
        process: This process, with its device and precision.
        loading: ``batch_views`` is the most views in a batch; None fits it to the device's memory.
        part: Gives of a network the part that is run, from clips ``b c t h w`` to rows ``b ...``; by default all of it.
        num_classes: Logits that each view must get; None takes any rows.
        optimize: Run the network's optimised copy, on a CPU and in fp32, where that takes less time; its scores are
            the same to 1e-4. The weights must stay as they are.

    Attributes:
        chosen: Which network runs, its note empty before the first batch.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        process: Process,
        loading: Loading,
        *,
        part: Callable[[nn.Module], Callable[[Clip], Tensor]] = lambda model: model,
        num_classes: int | None = None,
        optimize: bool = False,
    ) -> None:
        self.model = model
        self.preprocessing = preprocessing
        self.process = process
        self.loading = loading
        self.part = part
        self.network = part(model)
        self.num_classes = num_classes
        self.optimize = optimize
        self.chosen = Chosen(model, "", "") if optimize else as_it_is(model, "not wanted")
        self._num_views = self._num_asked = 0
        self._most = loading.batch_views or MAX_BATCH_VIEWS
        self._dtype = next((values.dtype for values in model.parameters() if values.is_floating_point()), torch.float32)

    def run(self, videos: Iterable[VideoViews | BadVideo], *, num_views: int = 0) -> Iterator[ViewRows | BadVideo]:
        """Compute every view of every video.

        When memory runs out the batch is halved, for the rest of the work too.

        Args:
            videos: One after the other, of a data set, a long video or a service; a ``BadVideo`` is passed on.
            num_views: Views that all of them have, about; an optimised copy is made where there are enough.

        Yields:
            Each video with its rows as soon as all are computed; in the order given, but for the bad ones.

        Raises:
            UserError: Not even a single view fits into the memory; or what the network gives is not wanted.
        """
        queue = ViewQueue()
        self._num_views += num_views
        with freed_memory_kept(), in_evaluation_mode(self.model):
            for video in itertools.chain(videos, [None]):
                if isinstance(video, BadVideo):
                    yield video
                    continue
                while queue and (video is None or not queue.has_room_for(video)):
                    yield from queue.put_back(self._rows(queue.take(self._batch_size(queue))))
                if video is not None:
                    queue.add(video)
                while len(queue) >= self._batch_size(queue):
                    yield from queue.put_back(self._rows(queue.take(self._batch_size(queue))))

    def _batch_size(self, queue: ViewQueue) -> int:
        """Views of the next batch."""
        if self.loading.batch_views is not None or not queue:
            return self._most
        return min(self._most, views_that_fit(queue.first.view_bytes, self.process.device))

    def _rows(self, views: Clip) -> np.ndarray:
        """Compute a batch, in smaller parts when memory runs out: from uint8 ``v c t h w`` to float32 ``v ...``."""
        parts: list[np.ndarray] = []
        num_done = 0
        while num_done < len(views):
            part = views[num_done : num_done + self._most]
            try:
                with torch.inference_mode(), self.process.autocast():
                    clip = network_input(part, self.preprocessing, self.process.device, self._dtype)
                    if self.optimize and not self.chosen.forms:
                        self._choose(clip)
                    rows = self.network(clip)
                    if self.num_classes is not None:
                        require_logits(rows, clip, self.model, self.num_classes)
                    parts.append(rows.float().cpu().numpy())
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise self._too_large(views) from None
                self._most = len(part) // 2
            else:
                num_done += len(part)
                continue
            log.info("memory ran out with %d views in a batch; going on with %d", len(part), self._most)
            if self.process.device.type == "cuda":
                torch.cuda.empty_cache()  # fragments of the failed attempt
        return np.concatenate(parts)

    def _choose(self, clip: Clip) -> None:
        """Say which network runs from here on; one that has had too few views is asked about again with the next."""
        if self.chosen.note and self._num_views == self._num_asked:
            return
        self._num_asked = self._num_views
        self.chosen = choose(self.model, clip, self.process, self._num_views)
        self.network = self.part(self.chosen.model)

    def _too_large(self, views: Clip) -> UserError:
        frames, height, width = views.shape[2:]
        return UserError(
            f"a single view of {frames} frames of {height}x{width} does not fit into the memory of "
            f"{self.process.device}; use a protocol with fewer frames, --precision bf16, or another device."
        )


@contextmanager
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode inside the block, every part of it back into its own mode afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
