"""Programming languages: how a program and its tests are put together, compiled and run. One module each."""
