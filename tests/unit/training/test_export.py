import pytest

from xmtf.errors import SourceError
from xmtf.training.export import export_checkpoint, run_checkpoints


def test_a_run_without_checkpoints_says_what_to_do(tmp_path):
    with pytest.raises(SourceError, match=r"no folder of a run \(no recipe\.yaml there\)"):
        run_checkpoints(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(SourceError, match="no whole checkpoint; train the recipe first"):
        run_checkpoints(tmp_path)
    with pytest.raises(SourceError, match="no whole checkpoint"):
        export_checkpoint(tmp_path, tmp_path / "out")
