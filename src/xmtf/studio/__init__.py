"""A studio for templates in the browser: look, write, translate, review, try; behind ``xmtf.loopback``."""
