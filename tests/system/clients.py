"""Clients of a held door."""

import socket

HELD = 'pointsman_held_connections{scope="main",backend="pg_primary"}'


def connect(rig):
    """One that speaks first, as PostgreSQL's do."""
    client = socket.create_connection(rig.haproxy.write_address, timeout=10)
    client.sendall(b"hello")
    return client


def served_by(client, timeout=10):
    """The server's name; nothing where it still waits."""
    client.settimeout(timeout)
    try:
        return client.recv(100).decode().strip()
    except TimeoutError:
        return None
