"""A small server for the person at this machine: address and token, checks of every request, files of a package.

It knows nothing of what it serves. A page that is opened at the printed address gets a cookie, which all else needs;
requests that another website makes a browser send are refused.
"""
