import pytest

from xmtf.errors import SourceError
from xmtf.training.export import export_checkpoint, run_checkpoints


def test_a_run_without_checkpoints_says_what_to_do(tmp_path):
    with pytest.raises(SourceError, match=r"not a run folder \(it has no recipe\.yaml\)"):
        run_checkpoints(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(SourceError, match="no complete checkpoint; train the recipe first"):
        run_checkpoints(tmp_path)
    with pytest.raises(SourceError, match="no complete checkpoint"):
        export_checkpoint(tmp_path, tmp_path / "out")
