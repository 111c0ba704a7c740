"""What `inspect` shows, as plain aligned text and as plain data; it is ASCII but for what comes out of the file."""
