"""Runs untrusted programs in their own namespaces. Started as its own program; imports nothing of xmtf.

Who runs where, each trusted less than the one before::

    launcher            outside; writes the id maps, watches time and memory, kills what goes beyond
      └─ keeper         process 1 of new user, process, network, mount, IPC and host name namespaces
          ├─ compiler   no capabilities, a filter on system calls, limits on everything, only /tmp to write to
          ├─ tester     the same; runs the tests of the data set and calls the program over pipes
          └─ program    the same; runs what the model wrote, and answers calls with plain values

The kernel kills all that is in the namespaces when the keeper dies, however many processes there are.
"""
