-- Last: nothing of the store and of the calls is anybody's by default, whichever fragment made it.
REVOKE ALL ON SCHEMA schemadrift_store, schemadrift_rpc FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA schemadrift_store FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA schemadrift_store, schemadrift_rpc FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA schemadrift_rpc TO schemadrift_peer;
