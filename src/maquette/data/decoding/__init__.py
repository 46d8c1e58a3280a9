"""Files become pixels in a process with limits: what is asked of it, what it answers, every kind of file."""
