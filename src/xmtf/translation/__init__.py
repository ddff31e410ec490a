"""Translation of templates: engines, checks of what they return, review by people."""
