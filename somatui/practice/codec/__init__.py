"""Between protobuf messages and the values of wire and ledger, as the real node writes them; sockets are rpc's."""
