"""How each container has the ports of its `web_server` functions to itself: decision 21 tells why and how."""
