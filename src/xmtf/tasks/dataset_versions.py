"""Which version of each dataset was read: manifests of mixtures and of results say it."""

from __future__ import annotations

from collections.abc import Iterable

from xmtf.artefacts.manifest_parts import DatasetVersion
from xmtf.sources.locate import Located, locate_all
from xmtf.tasks.task import Slice

__all__ = ["dataset_versions", "slice_versions"]


def dataset_versions(found: Iterable[Located]) -> dict[str, tuple[DatasetVersion, ...]]:
    """Return dataset -> its versions, more than one where splits differ; own files and CLDR have none."""
    versions: dict[str, set[tuple[str, str]]] = {}
    for each in found:
        if each.place in ("mirror", "cache", "hub"):
            dataset, _, _ = each.ref.where
            versions.setdefault(dataset, set()).add((each.origin.revision, each.origin.commit))
    return {name: tuple(DatasetVersion(*each) for each in sorted(versions[name])) for name in sorted(versions)}


def slice_versions(slices: Iterable[Slice], *, offline: bool) -> dict[str, tuple[DatasetVersion, ...]]:
    """Return the versions of the datasets of slices whose rows were read before."""
    parts = (ref for part in slices for ref in part.task.source(part.split).parts)
    refs = {str(ref): ref for ref in parts if ref.path is None}
    found = locate_all(list(refs.values()), offline=offline)
    return dataset_versions(each for each in found if isinstance(each, Located))
