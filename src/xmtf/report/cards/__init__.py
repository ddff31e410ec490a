"""Model cards: what a model is, what it was trained on and what was measured, from manifests and results."""

from xmtf.report.cards.hub_results import write_hub_results
from xmtf.report.cards.model import card_of, model_card, write_card_of, write_foreign_card, write_model_card

__all__ = ["card_of", "model_card", "write_card_of", "write_foreign_card", "write_hub_results", "write_model_card"]
