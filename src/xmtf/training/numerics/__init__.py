"""In which number formats a step is computed."""
