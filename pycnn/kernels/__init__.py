"""The compiled loops, forward and backward; `functional` is the public way in. They trust their input."""
