#!/usr/bin/python3
"""A plain TCP server: says its name to everybody, then returns what it gets. server.py NAME ADDRESS PORT"""

import select
import socket
import sys

name, address, port = sys.argv[1].encode(), sys.argv[2], int(sys.argv[3])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((address, port))
listener.listen(8000)
listener.setblocking(False)
poll = select.epoll()
poll.register(listener, select.EPOLLIN)
connections = {}


def accept_all():
    while True:
        try:
            connection, _ = listener.accept()
            connection.send(name)
        except BlockingIOError:
            return
        except OSError:
            continue
        connections[connection.fileno()] = connection
        poll.register(connection, select.EPOLLIN)


while True:
    for number, _ in poll.poll():
        if number == listener.fileno():
            accept_all()
            continue
        try:
            data = connections[number].recv(65536)
            connections[number].sendall(data)
        except OSError:
            data = b""
        if not data:
            poll.unregister(number)
            connections.pop(number).close()
