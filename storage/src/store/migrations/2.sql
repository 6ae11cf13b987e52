-- Devices that were signed out, noted by the transaction that deletes them: cores read what is new here. The newest one stays, as the next number follows it.
-- until_ms: when whatever the device could still do has ended.
CREATE TABLE signed_out (
    number BIGINT NOT NULL PRIMARY KEY,
    device_id BINARY(16) NOT NULL,
    user_id BINARY(16) NOT NULL,
    until_ms BIGINT NOT NULL
) {table};
