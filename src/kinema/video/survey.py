"""Reads all packets of a file once, for everything that is to be known of them."""

from __future__ import annotations

from pathlib import Path

from kinema.video.cursor import FrameCursor
from kinema.video.h264_order import SequenceHead
from kinema.video.location import StoredVideo
from kinema.video.packet_index import PacketIndex, read_packet_index
from kinema.video.packet_table import PacketSurvey, PacketTable

DECODED_ALONE = frozenset({"hevc", "vp9", "libdav1d"})
"""Codecs beside H.264 of which a decoder needs the packets and the stream's settings only."""


def read_packets(
    path: Path | StoredVideo, unused: FrameCursor | None, h264: SequenceHead | None
) -> tuple[PacketIndex, PacketTable | None]:
    """Read the packets of a file.

    Args:
        path: The file.
        unused: The open file at its beginning, which need not be opened again; it then stands at the end, or at the
            beginning where its decoder needs what comes there.
        h264: Sequence parameters of H.264; None for other codecs.

    Returns:
        The index of the frames, and where the packets lie, which is None where that is not proved.
    """
    cursor = unused or FrameCursor(path, 1)
    is_alone = h264 is not None or cursor.stream.codec_context.name in DECODED_ALONE
    survey = PacketSurvey(path, h264) if is_alone and isinstance(path, Path) else None
    try:
        cursor.fresh = False
        index = read_packet_index(cursor.container, cursor.stream, survey)
        packets = survey.table() if survey is not None and index.trusted and not index.has_settings else None
    finally:
        if survey is not None:
            survey.close()
        if unused is None:
            cursor.close()
    if unused is not None and index.has_settings:
        unused.close()
        unused.open()
    return index, packets
