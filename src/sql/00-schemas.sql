\echo Use "CREATE EXTENSION schemadrift" to load this file. \quit

CREATE SCHEMA schemadrift_store;
CREATE SCHEMA schemadrift_rpc;
COMMENT ON SCHEMA schemadrift IS 'schemadrift: what people call and look at';
COMMENT ON SCHEMA schemadrift_store IS 'schemadrift: the log and the state of this region; written by the extension only';
COMMENT ON SCHEMA schemadrift_rpc IS 'schemadrift: calls between regions';
