"""An example of what adds to tlbatch."""
