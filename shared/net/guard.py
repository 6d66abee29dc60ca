"""Which addresses others may have us connect to: public ones.

The address is looked at when the connection is made: neither a name that points inside, nor one that changes what it
points to, nor a redirect leads into our own network.
"""

import errno
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
AddrInfoType = tuple[int, int, int, str, tuple[str | int, ...]]

_TRANSLATED: Final = tuple(
    ip_network(net)
    for net in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "fec0::/10")
)
"""IPv6 addresses that stand for an IPv4 one: compatible, mapped, NAT64, 6to4, Teredo; and the old site-local ones."""

_PROTOCOLS: Final = ip_network("192.0.0.0/24")
"""The IETF's own, of which older Pythons call some global; a cloud's metadata may live there."""


def is_public(address: Address) -> bool:
    """https://www.iana.org/assignments/iana-ipv4-special-registry and its IPv6 twin, as Python knows them."""
    special = any(address in network for network in (*_TRANSLATED, _PROTOCOLS))
    return address.is_global and not address.is_multicast and not special


class Guard:
    """`aiohttp.TCPConnector(socket_factory=guard.socket)`: it is asked for every socket, with the address that it is
    about to be connected to. `refused`: one was not allowed."""

    def __init__(self, allowed: Callable[[Address], bool] = is_public) -> None:
        self.refused = False
        self._allowed = allowed

    def socket(self, info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, where = info
        if not self._allowed(ip_address(str(where[0]).partition("%")[0])):
            self.refused = True
            raise ConnectionRefusedError(errno.EACCES, "not a public address")
        return socket.socket(family, kind, protocol)
