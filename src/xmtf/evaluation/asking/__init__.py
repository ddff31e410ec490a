"""A loaded model is asked what a suite wants to know, and its answers are kept."""
