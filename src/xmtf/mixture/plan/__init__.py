"""What a mixture will take, before any data is read: tasks, prompted folders, rates."""
