import numpy as np
import pytest

from xmtf.mixture.select.letters import letters_of
from xmtf.mixture.select.plain_texts import near_filter, pass_filter, plain_words


@pytest.mark.parametrize("bits", [10, 17, 22])
def test_a_filter_lets_all_of_its_own_pass_and_few_others(bits):
    random = np.random.default_rng(0)
    own, others = random.integers(0, 2**64, (2, 2**bits // 32), np.uint64)
    near = near_filter(own, bits)
    assert pass_filter(near, own).tolist() == list(range(len(own)))
    assert len(pass_filter(near, others)) <= max(3, 0.01 * len(others))


def test_eight_letters_in_ascii_are_one_number():
    letters = letters_of(["Ab cdefgh i", "äbcdefgh", "語bcdefghi"], with_plain=True)
    words = plain_words(letters.plain, np.array([0, 1, 2, 9, 10, 17, 18, 30]))
    read = [number.tobytes().decode() if number else None for number in words.astype("<u8")]
    assert read == ["abcdefgh", "bcdefghi", "cdefghia", "abcdefgh", None, None, "bcdefghi", None]
