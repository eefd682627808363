"""What stands for a video that cannot be used: in scans, in loaders and among scores."""

from __future__ import annotations

from typing import NamedTuple

from kinema.errors import VideoError


class BadVideo(NamedTuple):
    """A video that cannot be used, and why.

    Attributes:
        video_id: Of the manifest.
        path: Its file.
        reason: What is wrong with it.
    """

    video_id: str
    path: str
    reason: str

    @classmethod
    def from_error(cls, video_id: str, error: VideoError) -> BadVideo:
        """Take over what an error says; the id, with which ``open_record`` ends its reason, is not said twice."""
        return cls(video_id, error.path, error.reason.removesuffix(_named(video_id)))

    def error(self) -> VideoError:
        """The error that says the same."""
        return VideoError(self.path, f"{self.reason}{_named(self.video_id)}")


def _named(video_id: str) -> str:
    return f" (video {video_id})"
