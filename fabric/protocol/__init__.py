"""What travels on the wire: messages, records, limits and the codec that checks them."""
