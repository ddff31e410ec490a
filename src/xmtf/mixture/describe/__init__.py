"""What a mixture holds, for people: composition, card, statistics, comparisons."""
