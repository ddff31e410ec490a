"""Generation: answers written token by token, greedily, by drawing, or by beam search."""
