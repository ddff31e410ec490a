import pytest

from xmtf.evaluation.prompting.endings import mended_ending


@pytest.mark.parametrize(
    ("prompt", "mended"),
    [
        ("Translate to English: Je t'aime", "Translate to English: Je t'aime."),
        ("What is the capital of France", "What is the capital of France?"),
        ("Read this. How old is she", "Read this. How old is she?"),
        ("把这句话翻译成英文：我爱你", "把这句话翻译成英文：我爱你。"),
        ("मुझे तुमसे प्यार है", "मुझे तुमसे प्यार है।"),
        ("Question: who? Answer: ", "Question: who? Answer:"),
    ],
)
def test_an_open_end_is_mended(prompt, mended):
    assert mended_ending(prompt) == mended
    assert mended_ending(mended) is None


@pytest.mark.parametrize(
    "prompt", ["Translate to English: Je t'aime.", 'Who wrote "Faust"?', "Translation:", "爱。", 'He said "go."', ""]
)
def test_a_clear_end_is_left_alone(prompt):
    assert mended_ending(prompt) is None
