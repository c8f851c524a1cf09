"""The socket door under many sockets: how fast it opens, what it holds, and how soon it closes."""
