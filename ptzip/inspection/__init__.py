"""What there is to say about a checkpoint, gathered as plain values: no text for people, and nothing printed.

Rule: only headers, directories and pickles are read; the bytes of a tensor are read by `values` alone, for one that was named.
"""
