"""What guards folders and processes against one another and against kills.

``unfinished``: temporary files and folders, their locks, the sweep of what killed processes left. ``alone``: one writer
a folder. ``tether``: processes that end with the command that started them.
"""
