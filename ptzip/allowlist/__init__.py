"""The allow list: what a pickle may name, call and give a state to."""
