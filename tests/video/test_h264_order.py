"""Heads of H.264 slices tell the order of pictures, in frames and fields and where streams were joined."""

import itertools

import pytest

from kinema.video.h264_order import OrderCheck, SequenceHead, read_sequence_head

LENGTH = 4


class Bits:
    """Writes the numbers of a unit."""

    def __init__(self):
        self.text = ""

    def fixed(self, count, value):
        self.text += f"{int(value):0{int(count)}b}" if count else ""

    def number(self, value):
        code = f"{value + 1:b}"
        self.text += "0" * (len(code) - 1) + code

    def unit(self, first):
        """The unit with its first byte, filled up to whole bytes, and with what keeps start codes out."""
        text = self.text + "1" + "0" * (-(len(self.text) + 1) % 8)
        plain = int(text, 2).to_bytes(len(text) // 8, "big")
        data = bytearray([first])
        for byte in plain:
            if data.endswith(b"\0\0") and byte <= 3:
                data.append(3)
            data.append(byte)
        return bytes(data)


def sequence_unit(*, frame_bits=4, order_type=0, order_bits=6, fields=False, matrices=False):
    """Sequence parameters of the high profile."""
    bits = Bits()
    bits.fixed(8, 100), bits.fixed(16, 30)
    for value in (0, 1, 0, 0):  # id, 4:2:0, 8 bits of brightness and colour
        bits.number(value)
    bits.fixed(1, 0), bits.fixed(1, matrices), bits.number(frame_bits - 4), bits.number(order_type)
    if order_type == 0:
        bits.number(order_bits - 4)
    bits.number(4), bits.fixed(1, 0), bits.number(1), bits.number(1), bits.fixed(1, not fields)
    bits.fixed(4, 0b0100)
    return bits.unit(0x67)


def slice_unit(*, kind, order, reference=True, field=None, idr=False, frame_num=0, frame_bits=4, order_bits=6, first=0):
    """The head of a slice; ``field`` is None in streams of whole frames only, else 0 (frame), 1 (top) or 2 (bottom)."""
    bits = Bits()
    bits.number(first), bits.number({"P": 5, "B": 6, "I": 7}[kind]), bits.number(0)
    bits.fixed(frame_bits, frame_num)
    if field is not None:
        bits.fixed(1, field > 0)
        bits.fixed(field > 0, field == 2)
    if idr:
        bits.number(3)
    bits.fixed(order_bits, order % (1 << order_bits))
    bits.fixed(64, 0x123456789ABCDEF0)
    return bits.unit((96 if reference else 0) | (5 if idr else 1))


def packet(*units):
    return memoryview(b"".join(len(unit).to_bytes(LENGTH, "big") + unit for unit in units))


def record(unit):
    return bytes([1, *unit[1:4], 0xFC | LENGTH - 1, 0xE1, *len(unit).to_bytes(2, "big"), *unit, 0])


def head(**parameters):
    found = read_sequence_head(record(sequence_unit(**parameters)))
    assert found is not None
    return found


def test_sequence_parameters_are_read():
    assert head() == SequenceHead(4, 6, False, False, LENGTH)
    assert head(frame_bits=16, order_bits=16, fields=True) == SequenceHead(16, 16, True, False, LENGTH)
    assert head(order_type=2).order_bits == 0
    for unread in ({"order_type": 1}, {"matrices": True}):
        assert read_sequence_head(record(sequence_unit(**unread))) is None
    assert read_sequence_head(record(sequence_unit())[:12]) is None


@pytest.mark.parametrize("first", [0, 1, 7, 300, 8000])
@pytest.mark.parametrize(("frame_bits", "order_bits"), [(4, 4), (4, 6), (9, 5), (16, 16)])
@pytest.mark.parametrize("field", [None, 0, 1, 2])
def test_slice_heads_are_read(first, frame_bits, order_bits, field):
    stream = head(frame_bits=frame_bits, order_bits=order_bits, fields=field is not None)
    sizes = {"frame_bits": frame_bits, "order_bits": order_bits, "field": field, "first": first}
    extra = b"\x09\xf0", b"\x06\x05\x01\x00\x80"  # a delimiter and additional information
    for kind, order, reference, idr in itertools.product("IPB", (0, 1, 11), (True, False), (False, True)):
        unit = slice_unit(kind=kind, order=order, reference=reference, idr=idr, **sizes)
        for units in ([unit], [*extra, unit], [unit, unit]):
            assert stream.picture_of(packet(*units)) == (idr, reference, kind == "B", order)


def test_order_counts_are_held_against_times():
    shown = [(0, "I"), (3, "P"), (1, "B"), (2, "B"), (30, "P"), (28, "B"), (29, "B"), (55, "P"), (54, "B")]
    right, wrong = OrderCheck(head()), OrderCheck(head())
    for time, kind in shown:
        unit = packet(slice_unit(kind=kind, order=time, reference=kind != "B", idr=time == 0))
        assert right.add(unit, time) == (kind == "B")
        wrong.add(unit, {1: 2, 2: 1}.get(time, time))
        if time == 2:
            assert not wrong.agrees()
            right.forget(3)
    assert right.agrees()
    right.add(packet(slice_unit(kind="B", order=53, reference=False)), 90)
    assert not right.agrees()


def test_a_stream_joined_from_differently_made_ones_is_not_judged_by_the_first():
    stream, picture = head(), slice_unit(kind="P", order=8)
    assert stream.picture_of(packet(sequence_unit(), picture)) is not None
    for other in (sequence_unit(order_bits=8), sequence_unit(fields=True), sequence_unit(matrices=True), b"\x67\x64"):
        assert stream.picture_of(packet(other, picture)) is None
