"""CPU seconds and recall of MinHash signatures by rensa and by datasketch, on the same runs of characters.

    python bench/near_duplicates.py
    python bench/near_duplicates.py --texts 20000

Texts of random words; the second half are copies with some words changed, so that pairs of known similarity (Jaccard
of their runs) are there. Recall is the share of pairs at or over the similarity that the bands of xmtf bring together;
the error is that of the estimated similarity. Both get the hashes of the runs, which xmtf makes; rensa's time includes
making them, datasketch's does not.
"""

from __future__ import annotations

import argparse
import random
import time

import datasketch
import numpy as np

from xmtf.mixture.select.near_groups import bands
from xmtf.mixture.select.near_rows import NUM_HASHES, _runs, signatures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--similarity", type=float, default=0.8)
    parser.add_argument("--toy", action="store_true", help="The smallest sizes: whether it runs, not how fast.")
    options = parser.parse_args()
    if options.toy:
        options.texts = 40
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(5000)]
    texts = [draw.choices(words, k=options.words) for _ in range(options.texts // 2)]
    copies = [list(text) for text in texts]
    for copy in copies:
        for at in draw.sample(range(len(copy)), draw.randint(0, options.words // 8)):
            copy[at] = draw.choice(words)
    lines = [" ".join(text) for text in texts + copies]
    start = time.process_time()
    tokens, offsets = _runs(lines)
    print(f"{'runs':<12}{time.process_time() - start:8.2f} CPU s for {len(lines):,} texts, {len(tokens):,} runs")
    sets = [set(part.tolist()) for part in np.split(tokens, offsets[1:-1].astype(np.int64))]
    half = len(texts)
    real = np.array([len(sets[n] & sets[n + half]) / len(sets[n] | sets[n + half]) for n in range(half)])
    for name, make in (("rensa", lambda: signatures(lines)), ("datasketch", lambda: by_datasketch(sets))):
        start = time.process_time()
        signed = make()
        seconds = time.process_time() - start
        same = signed[:half] == signed[half:]
        count, width = bands(options.similarity)
        together = same[:, : count * width].reshape(half, count, width).all(axis=2).any(axis=1)
        wanted = real >= options.similarity
        print(
            f"{name:<12}{seconds:8.2f} CPU s, {len(lines) / max(seconds, 1e-9):10,.0f} texts a CPU s, recall "
            f"{together[wanted].mean():.4f} of {wanted.sum():,} pairs, mean error of the estimate "
            f"{np.abs(same.mean(axis=1) - real).mean():.4f}"
        )


def by_datasketch(sets: list[set[int]]) -> np.ndarray:
    """Return the signatures of sets of hashes; their hashes are taken as they are."""
    found = datasketch.MinHash.bulk(
        [list(each) for each in sets], num_perm=NUM_HASHES, seed=42, hashfunc=lambda value: value & 0xFFFFFFFF
    )
    return np.stack([each.hashvalues for each in found])


if __name__ == "__main__":
    main()
