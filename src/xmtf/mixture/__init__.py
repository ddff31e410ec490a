"""Mixtures: plan, render, filter, guard, deduplicate, sample, shuffle, write; read and describe."""

from xmtf.mixture.build import build_mixture
from xmtf.mixture.io.read import mixture_languages, read_mixture
from xmtf.mixture.plan.plan import MixturePlan, plan_mixture

__all__ = ["MixturePlan", "build_mixture", "mixture_languages", "plan_mixture", "read_mixture"]
