"""Languages: their codes and scripts, which are the same or related, and in which one a text is written."""
