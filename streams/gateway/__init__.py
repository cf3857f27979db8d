"""The gateway: checkout asks over HTTP, and is answered within its deadline."""
