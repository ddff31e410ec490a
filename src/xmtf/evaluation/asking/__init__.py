"""A loaded model is asked what a suite needs to know, and its answers are kept."""
