"""A Ray that cannot be had is one line, before any work: no cluster is started here."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from xmtf.errors import ConfigError, MissingExtraError
from xmtf.execution import check_engine
from xmtf.mixture import build_mixture
from xmtf.recipe import load_recipe
from xmtf.recipe.schema import Execution

SMOKE = Path(__file__).parents[3] / "recipes" / "smoke" / "mixture.yaml"


def no_cluster(address, **options):
    raise ConnectionError("Could not find any running Ray instance.")


@pytest.fixture
def ray(monkeypatch):
    """A module ray that finds no cluster."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=no_cluster))


def test_without_the_package_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"xmtf\[ray\]"):
        build_mixture(load_recipe(SMOKE, ["execution.engine=ray"]), tmp_path / "mixture")
    assert not list(tmp_path.iterdir())


def test_an_address_where_nobody_answers_is_refused_before_any_work(ray, tmp_path):
    recipe = load_recipe(SMOKE, ["execution.engine=ray", "execution.address=127.0.0.1:1"])
    with pytest.raises(ConfigError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 \(.*refused"):
        build_mixture(recipe, tmp_path / "mixture")
    assert not list(tmp_path.iterdir())


def test_no_cluster_on_this_machine_says_how_to_go_on(ray):
    with pytest.raises(ConfigError, match=r"execution\.address=local"):
        check_engine(Execution(engine="ray"))


def test_the_address_of_the_environment_is_what_auto_means(ray, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:1")
    with pytest.raises(ConfigError, match="no Ray cluster answers at ray://127"):
        check_engine(Execution(engine="ray"))


@pytest.mark.parametrize("address", ["head", "head:port", ":6379"])
def test_an_address_has_a_host_and_a_port(ray, address):
    with pytest.raises(ConfigError, match="not one of auto, local"):
        check_engine(Execution(engine="ray", address=address))


def test_the_other_engines_need_no_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    check_engine(Execution(engine="pool"))
    check_engine(Execution(engine="inline"))
