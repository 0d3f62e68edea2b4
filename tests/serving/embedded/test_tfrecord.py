"""TFRecord by its published check values and by a file that TensorFlow wrote."""

import pytest

from serving.embedded.status import Code, ServingError
from serving.embedded.tfrecord import masked_crc32c, read_records
from serving.embedded.warmup import WARMUP_FILE


def unmasked(data):
    rotated = (masked_crc32c(data) - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated << 15 | rotated >> 17) & 0xFFFFFFFF


def test_crc_of_rfc_3720():
    """The check values of its appendix B.4, and the common one of the digits."""
    assert unmasked(bytes(32)) == 0x8A9136AA
    assert unmasked(b"\xff" * 32) == 0x62A8AB43
    assert unmasked(bytes(range(32))) == 0x46DD794E
    assert unmasked(b"123456789") == 0xE3069283


def test_a_file_that_tensorflow_wrote(first):
    records = list(read_records(first.folder / WARMUP_FILE))
    assert len(records) == 6  # three batch sizes of two signatures
    assert all(b"next_item" in record for record in records)


def test_no_flipped_bit_goes_unseen(first, tmp_path):
    good = (first.folder / WARMUP_FILE).read_bytes()[:400]
    size = int.from_bytes(good[:8], "little") + 16
    file = tmp_path / "records"
    for place in range(size):
        file.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 : size])
        with pytest.raises(ServingError) as refused:
            list(read_records(file))
        assert refused.value.code is Code.DATA_LOSS


def test_no_cut_goes_unseen(first, tmp_path):
    good = (first.folder / WARMUP_FILE).read_bytes()
    size = int.from_bytes(good[:8], "little") + 16
    file = tmp_path / "records"
    for length in range(1, size):
        file.write_bytes(good[:length])
        with pytest.raises(ServingError, match="truncated"):
            list(read_records(file))
    file.write_bytes(b"")
    assert list(read_records(file)) == []
