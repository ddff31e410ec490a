"""Under which terms datasets come: their licence, and whether the hub gives them out on request alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from xmtf.errors import SourceError
from xmtf.sources.hub.listing import card_licence
from xmtf.sources.locate import Located

__all__ = ["NOT_STATED", "ON_REQUEST", "Terms", "terms_of"]

NOT_STATED = "not stated"
ON_REQUEST = "on request (HF_TOKEN)"


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one dataset.

    Attributes:
        dataset: As the catalogue names it.
        splits: How many of its splits are wanted.
        licence: Its licence, or ``""``.
        said_by: ``catalogue``, ``sidecar`` (of a mirror), ``card`` (on the hub), or ``""``.
        gated: Whether the hub gives it out on request alone; None where nobody asked.
    """

    dataset: str
    splits: int
    licence: str
    said_by: str
    gated: bool | None

    def line(self) -> tuple[str, str, str, str]:
        """Return it as cells: dataset, splits, licence, who gets it."""
        said = f" ({self.said_by})" if self.said_by not in ("", "catalogue") else ""
        given = "" if self.gated is None else ON_REQUEST if self.gated else "public"
        return self.dataset, f"{self.splits:,}", f"{self.licence or NOT_STATED}{said}", given


def terms_of(
    found: Iterable[Located], licences: Mapping[str, str], *, offline: bool, gated: Collection[str] = ()
) -> tuple[Terms, ...]:
    """Return the terms of the datasets of some splits, in their order.

    What the catalogue says counts first, then what is next to the files of a mirror, then the card on the hub, which is
    only asked where nothing else says it.

    Args:
        found: The splits.
        licences: Dataset -> licence, as the catalogue says it.
        offline: Do not ask the hub.
        gated: Datasets that the hub gives out on request alone, as the catalogue says it; what the hub says counts
            first.
    """
    of_dataset: dict[str, list[Located]] = {}
    for each in found:
        of_dataset.setdefault(each.ref.dataset, []).append(each)
    terms = (_terms(dataset, parts, licences.get(dataset, ""), offline) for dataset, parts in of_dataset.items())
    return tuple(replace(each, gated=True) if each.gated is None and each.dataset in gated else each for each in terms)


def _terms(dataset: str, parts: list[Located], licence: str, offline: bool) -> Terms:
    said_by = "catalogue" if licence else ""
    if not licence:
        licence = ", ".join(sorted({each.licence for each in parts if each.licence}))
        said_by = "sidecar" if licence else ""
    on_hub = next((each for each in parts if each.place == "hub"), None)
    if not licence and on_hub is not None and not offline:
        try:
            licence = card_licence(on_hub.ref.asked[0])
        except SourceError:  # the set itself was listed: its card alone cannot be had, and nothing is stated
            licence = ""
        said_by = "card" if licence else ""
    known = [each.gated for each in parts if each.gated is not None]
    return Terms(dataset, len(parts), licence, said_by, any(known) if known else None)
