"""Reading a listing's files in parts that outlive the process, and putting together what is in them."""
