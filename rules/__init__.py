"""How the system decides: pure steps, without I/O, clock or chance."""
