"""The strongest short loops: what a careful person writes for each task on the usual libraries, at its best."""
