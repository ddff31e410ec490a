import pytest

from xmtf.errors import ConfigError
from xmtf.tasks import checkouts
from xmtf.tasks.checkouts import BRANCHES, absolute_roots, branch_of, checkout_of, lacking_checkouts

SHOWS = {branch: has for branch, (has, _) in checkouts._SHOWS.items()}


def make(root, branch="", head=None, keys=None):
    """Write the files that show a branch, in the layout of a checkout; ``head`` is what git's HEAD says."""
    for key in SHOWS[branch] if keys is None else keys:
        path = root / "promptsource" / "templates" / key / "templates.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("templates: {}\n")
    if head is not None:
        (root / ".git" / "refs" / "heads").mkdir(parents=True)
        (root / ".git" / "HEAD").write_text(f"{head}\n")
        (root / ".git" / "refs" / "heads" / "tr13").write_text("03e22cf271666a3c8234127cdede13d86ec601f1\n")
    return root


@pytest.mark.parametrize("branch", BRANCHES)
def test_an_archive_shows_its_branch_by_its_files(tmp_path, branch):
    assert branch_of(make(tmp_path, branch)).branch == branch
    assert branch_of(tmp_path / "promptsource" / "templates").branch == branch


def test_other_branches_of_the_fork_are_not_taken_for_one_of_ours(tmp_path):
    russian = [*SHOWS["xp3mt"], "Helsinki-NLP/tatoeba_mt/ara-rus", "xnli/fr", "GEM/xlsum/chinese_simplified"]
    chinese = ["facebook/flores/eng_Latn-fra_Latn", "xnli/fr", "GEM/xlsum/chinese_simplified"]
    for name, keys in {"xp3ru": russian, "xp3zhmt": chinese, "tr13nostrip": chinese[:1]}.items():
        assert branch_of(make(tmp_path / name, keys=keys)).branch == "", name


def test_git_names_the_branch_where_the_files_do_not(tmp_path):
    found = branch_of(make(tmp_path / "some", keys=["imdb"], head="ref: refs/heads/tr13"))
    assert (found.branch, found.commit[:7]) == ("tr13", "03e22cf")
    assert str(found).endswith("some (branch tr13, commit 03e22cf271)")
    detached = branch_of(make(tmp_path / "detached", keys=["imdb"], head="03e22cf271666a3c8234127cdede13d86ec601f1"))
    assert (detached.branch, detached.commit[:7]) == ("", "03e22cf")
    own = branch_of(make(tmp_path / "own", "tr13", head="ref: refs/heads/main"))
    assert own.branch == "tr13"  # a repository of its own, with the files of that branch


def test_a_worktree_and_packed_references_are_read(tmp_path):
    git = make(tmp_path / "clone", keys=["imdb"], head="ref: refs/heads/xp3x") / ".git"
    (git / "packed-refs").write_text("# pack-refs\n5378f2fe55122375299785e0ebca2471a6dfd171 refs/heads/xp3mt\n")
    inside = git / "worktrees" / "tree"
    inside.mkdir(parents=True)
    (inside / "HEAD").write_text("ref: refs/heads/xp3mt\n")
    (inside / "commondir").write_text("../..\n")
    tree = make(tmp_path / "tree", keys=["imdb"])
    (tree / ".git").write_text(f"gitdir: {inside}\n")
    found = branch_of(tree)
    assert (found.branch, found.commit[:7]) == ("xp3mt", "5378f2f")


def test_one_folder_serves_its_own_branch_only(monkeypatch, tmp_path):
    root = make(tmp_path, "tr13")
    monkeypatch.setenv("XMTF_TEMPLATES_ROOT", str(root))
    assert checkout_of("tr13", "xp3:xquad") == root
    with pytest.raises(
        ConfigError, match=rf"task 'bloomz-l1:xnli': .*branch xp3mt; .*another branch, {root} \(branch tr13\)"
    ):
        checkout_of("xp3mt", "bloomz-l1:xnli")
    assert list(lacking_checkouts(["tr13", "xp3mt", ""])) == ["xp3mt"]


def test_a_folder_that_shows_no_branch_has_to_be_named(monkeypatch, tmp_path):
    root = make(tmp_path, keys=["imdb"])
    monkeypatch.setenv("XMTF_TEMPLATES_ROOT", str(root))
    with pytest.raises(ConfigError, match=f"whose branch is not recorded: if it is tr13, write .*=tr13={root}"):
        checkout_of("tr13", "xp3:imdb")
    monkeypatch.setenv("XMTF_TEMPLATES_ROOT", f"tr13={root}")
    assert checkout_of("tr13", "xp3:imdb") == root


def test_branches_are_listed_or_are_folders_of_one_folder(monkeypatch, tmp_path):
    for branch in ("tr13", "xp3mt"):
        make(tmp_path / branch, branch)
    for value in (str(tmp_path), f"tr13={tmp_path / 'tr13'}, xp3mt={tmp_path / 'xp3mt'}"):
        monkeypatch.setenv("XMTF_TEMPLATES_ROOT", value)
        assert [checkout_of(branch, "x").name for branch in ("tr13", "xp3mt")] == ["tr13", "xp3mt"]
        assert "only for tr13, xp3mt: add main=" in lacking_checkouts(["main"])["main"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("tr13={root}/xp3mt", r"tr13 is given .*xp3mt \(branch xp3mt\)"),
        ("tr13={root}/nowhere", "tr13: .*nowhere: no such folder"),
        ("{root}/nowhere", "nowhere: no such folder"),
        ("tr31={root}/xp3mt", "'tr31=.*' is not BRANCH=FOLDER with a branch of main, tr13, xp3mt, xp3x"),
        ("", "set XMTF_TEMPLATES_ROOT to a checkout"),
    ],
)
def test_a_wrong_value_is_one_line(monkeypatch, tmp_path, value, said):
    make(tmp_path / "xp3mt", "xp3mt")
    monkeypatch.setenv("XMTF_TEMPLATES_ROOT", value.format(root=tmp_path))
    with pytest.raises(ConfigError, match=said):
        checkout_of("tr13", "xp3:imdb")


def test_jobs_elsewhere_get_absolute_folders(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert absolute_roots("tr13=a,xp3mt=/b") == f"tr13={tmp_path / 'a'},xp3mt=/b"
    assert absolute_roots("a") == str(tmp_path / "a")
