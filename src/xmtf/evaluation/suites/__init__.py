"""What an evaluation asks: suites, their slices of tasks, and the requests of each job."""
