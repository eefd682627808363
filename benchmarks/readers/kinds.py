"""The kinds of file that are compared, by group."""

from __future__ import annotations

import shutil
from pathlib import Path

import file_surgery
from made_files import (
    MPEG2,
    MPEG4,
    X264,
    X265,
    X265_QUIET,
    Made,
    Maker,
    avi_with_gaps,
    bits_flipped,
    browser_recording,
    copied,
    cropped,
    cut_by_copy,
    frame_lost,
    joined,
    late_picture,
    oriented,
    packed_b_frames,
    plain,
    sized,
    starts_open,
    tail_lost,
    uneven,
)

NO_B = "-c:v libx264 -preset fast -crf 12 -pix_fmt yuv420p -g 12 -bf 0 -x264-params threads=1:scenecut=0"
HDR = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
TO_709 = "-vf scale=out_color_matrix=bt709:out_range=tv -colorspace bt709 -color_primaries bt709 -color_trc bt709"
TO_2020 = "-vf scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le"
PALETTE = "-vf split[a][b];[a]palettegen=reserve_transparent=0[p];[b][p]paletteuse=dither=none"
GREY_PALETTE = f"{PALETTE.replace('split', 'format=gray,split')}"

KINDS: dict[str, dict[str, Maker]] = {
    "Groups of pictures": {
        "H.264 with B-frames, MP4": plain("mp4", X264),
        "H.264, open groups, MP4": plain("mp4", X264 + ":open-gop=1"),
        "H.264, open groups, MKV": plain("mkv", X264 + ":open-gop=1"),
        "H.264, intra refresh, MP4": plain("mp4", X264 + ":intra-refresh=1"),
        "HEVC, open groups (RASL), MP4": plain("mp4", f"{X265}{X265_QUIET}:open-gop=1"),
        "HEVC, starts inside an open group, MKV": starts_open,
        "VP9 with hidden frames, WebM": plain("webm", "-c:v libvpx-vp9 -b:v 2M -deadline good -cpu-used 8 -g 20"),
        "AV1, MP4": plain("mp4", "-c:v libsvtav1 -preset 9 -crf 20 -g 16"),
    },
    "Cuts and beginnings": {
        "cut by stream copy (edit list), MP4": cut_by_copy,
        "picture starts 1 s after the sound, MP4": late_picture("mp4", "aac"),
        "picture starts 1 s after the sound, MKV": late_picture("mkv", "flac"),
    },
    "Frame times": {
        "uneven times, MP4": uneven("mp4"),
        "uneven times, MKV": uneven("mkv"),
        "uneven times, fragmented MP4": uneven("mp4", container_options={"movflags": "frag_keyframe+empty_moov"}),
        "recorded by a browser, WebM": browser_recording,
        "MPEG-4 with empty chunks, AVI": avi_with_gaps,
    },
    "Containers": {
        "MPEG-4 with B-frames, AVI": plain("avi", f"{MPEG4} -bf 2"),
        "Xvid, B-frames packed, AVI": packed_b_frames,
        "H.264 with B-frames copied into AVI": copied("mp4", "avi", X264),
        "H.264, TS": plain("ts", X264),
        "MPEG-2, TS": plain("ts", MPEG2),
        "H.264, two TS joined": joined("ts", X264),
        "MPEG-2, program stream": plain("mpg", MPEG2),
        "MPEG-2, two program streams joined": joined("mpg", MPEG2),
        "raw H.264": plain("h264", X264),
        "raw H.264 copied into MP4": copied("h264", "mp4", X264, hidden=2),
        "raw MPEG-4": plain("m4v", f"{MPEG4} -bf 2"),
        "raw MPEG-4 copied into MP4": copied("m4v", "mp4", f"{MPEG4} -bf 2"),
        "Motion JPEG, AVI": plain("avi", "-c:v mjpeg -qscale:v 2 -pix_fmt yuvj420p"),
    },
    "Palettes": {
        "8 bits with palette, AVI": plain("avi", f"{PALETTE} -c:v rawvideo -pix_fmt pal8"),
        "8 bits with palette, MOV": plain("mov", f"{PALETTE} -c:v rawvideo -pix_fmt pal8"),
        "grey with palette, AVI": plain("avi", f"{GREY_PALETTE} -c:v rawvideo -pix_fmt pal8", has_color=False),
        "QuickTime Animation, grey, MOV": plain("mov", "-c:v qtrle -pix_fmt gray -g 12", has_color=False),
        "GIF": plain("gif", PALETTE),
    },
    "Orientation and size": {
        **{f"{name}, MP4": oriented(name) for name in file_surgery.ORIENTATIONS},
        "H.264 cropped on the left, MP4": cropped(X264, "left", "h264_metadata"),
        "H.264 cropped at the top, MP4": cropped(X264, "top", "h264_metadata"),
        "HEVC cropped on the left, MP4": cropped(f"{X265}{X265_QUIET}", "left", "hevc_metadata"),
        "odd size, H.264 4:4:4, MP4": sized("mp4", X264.replace("yuv420p", "yuv444p"), 127, 161),
        "odd size, VP9, WebM": sized("webm", "-c:v libvpx-vp9 -b:v 2M -cpu-used 8 -pix_fmt yuv420p", 127, 161),
    },
    "Fields and colour": {
        "H.264 interlaced (MBAFF), MP4": plain("mp4", f"{X264}:tff=1 -flags +ilme+ildct"),
        "H.264 marked interlaced, MP4": plain("mp4", f"{X264}:fake-interlaced=1"),
        "MPEG-2 interlaced, TS": plain("ts", f"{MPEG2} -flags +ilme+ildct -alternate_scan 1"),
        "BT.709, MP4": plain("mp4", f"{TO_709} {X264}"),
        "full range, MP4": plain("mp4", X264.replace("yuv420p", "yuvj420p")),
        "H.264 with 10 bits, MP4": plain("mp4", X264.replace("yuv420p", "yuv420p10le")),
        "HEVC, BT.2020 PQ, 10 bits, MP4": plain(
            "mp4", f"{TO_2020} {X265.replace('-pix_fmt yuv420p ', '')}{X265_QUIET}:{HDR}"
        ),
    },
    "Damage": {
        "a P-frame lost, MKV": frame_lost(X264, disposable=False, damaged=range(12, 24)),
        "a B-frame lost, MKV": frame_lost(X264, disposable=True, damaged=range(12, 24)),
        "bits flipped, H.264, MP4": bits_flipped("mp4", NO_B, 17, range(17, 24)),
        "bits flipped, H.264 with B-frames, MP4": bits_flipped("mp4", X264, 17, range(8, 27)),
        "bits flipped, HEVC, MP4": bits_flipped("mp4", f"{X265}{X265_QUIET}:bframes=0", 17, range(17, 24)),
        "bits flipped, MPEG-4, AVI": bits_flipped("avi", MPEG4, 17, range(17, 24)),
        "bits flipped, MPEG-2, TS": bits_flipped("ts", MPEG2, 17, range(10, 30)),
        "tail lost, MKV": tail_lost("mkv", X264, 40),
        "tail lost, AVI": tail_lost("avi", f"{MPEG4} -bf 2", 40),
        "tail lost, MP4 with its index in front": tail_lost("mp4", f"{X264} -movflags +faststart", 40),
        "tail lost, TS": tail_lost("ts", X264, 40),
    },
}
"""Groups of kinds; each kind makes its file in an empty folder."""


def make_all(folder: Path, word: str = "") -> dict[str, Made]:
    """Make every file whose kind has ``word`` in its name, below ``folder``."""
    if shutil.which("ffmpeg") is None:
        raise SystemExit("the ffmpeg command line program is needed to make the files")
    made = {}
    for kinds in KINDS.values():
        for name in (name for name in kinds if word in name):
            place = folder / f"{len(made):02}"
            place.mkdir()
            made[name] = kinds[name](place)
    return made
