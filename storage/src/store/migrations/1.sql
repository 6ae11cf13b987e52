-- Ids are the 16 bytes of a UUID, times milliseconds since 1970. {table} is what the backend puts after a table's closing bracket.

CREATE TABLE account (
    id BINARY(16) NOT NULL PRIMARY KEY,
    name VARCHAR(32) NOT NULL UNIQUE,
    display_name VARCHAR(256) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    created_ms BIGINT NOT NULL
) {table};

CREATE TABLE device (
    id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BINARY(16) NOT NULL,
    name VARCHAR(256) NOT NULL,
    created_ms BIGINT NOT NULL,
    last_seen_ms BIGINT NOT NULL,
    access_hash BINARY(32) NOT NULL UNIQUE,
    access_expires_ms BIGINT NOT NULL,
    refresh_hash BINARY(32) NOT NULL UNIQUE,
    refresh_expires_ms BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES account (id)
) {table};
CREATE INDEX device_user ON device (user_id);

-- Refresh tokens that were exchanged, until they would have lapsed: one that comes again is a copy.
-- The generation is the device's at that time; one behind the device's means that the exchange's answer may have been lost.
CREATE TABLE spent_refresh (
    refresh_hash BINARY(32) NOT NULL PRIMARY KEY,
    device_id BINARY(16) NOT NULL,
    generation BIGINT NOT NULL,
    spent_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    FOREIGN KEY (device_id) REFERENCES device (id) ON DELETE CASCADE
) {table};
CREATE INDEX spent_refresh_device ON spent_refresh (device_id);

-- One row a side. state: 1 asked, 2 was asked, 3 contacts.
CREATE TABLE contact (
    user_id BINARY(16) NOT NULL,
    peer_id BINARY(16) NOT NULL,
    state SMALLINT NOT NULL,
    note VARCHAR(1024) NOT NULL,
    since_ms BIGINT NOT NULL,
    log_id BINARY(16),
    PRIMARY KEY (user_id, peer_id),
    FOREIGN KEY (user_id) REFERENCES account (id),
    FOREIGN KEY (peer_id) REFERENCES account (id)
) {table};

-- kind: 0 a user's own, 1 direct, 2 group. user_a < user_b are the two of a direct one, which is writable while they are contacts.
CREATE TABLE log (
    id BINARY(16) NOT NULL PRIMARY KEY,
    kind SMALLINT NOT NULL,
    last_seq BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    member_count BIGINT NOT NULL,
    writable SMALLINT NOT NULL,
    title VARCHAR(1024),
    user_a BINARY(16),
    user_b BINARY(16),
    UNIQUE (user_a, user_b)
) {table};

CREATE TABLE member (
    log_id BINARY(16) NOT NULL,
    user_id BINARY(16) NOT NULL,
    joined_ms BIGINT NOT NULL,
    from_seq BIGINT NOT NULL,
    delivered_seq BIGINT NOT NULL,
    read_seq BIGINT NOT NULL,
    PRIMARY KEY (log_id, user_id),
    FOREIGN KEY (log_id) REFERENCES log (id),
    FOREIGN KEY (user_id) REFERENCES account (id)
) {table};
CREATE INDEX member_user ON member (user_id, log_id);
CREATE INDEX member_joined ON member (log_id, joined_ms, user_id);

-- body is the number of the field that the payload, an encoded gogochat.v1.Event, has set. No foreign key: the transaction that writes
-- an event takes its seq from the log's row.
CREATE TABLE event (
    log_id BINARY(16) NOT NULL,
    seq BIGINT NOT NULL,
    body SMALLINT NOT NULL,
    time_ms BIGINT NOT NULL,
    sender_id BINARY(16) NOT NULL,
    device_id BINARY(16),
    client_msg_id BINARY(16),
    payload MEDIUMBLOB NOT NULL,
    PRIMARY KEY (log_id, seq)
) {table};

-- What was committed under which name, for ever. seq is 0 where the command appended nothing; target is the group that it made,
-- added how many members it added.
CREATE TABLE sent (
    log_id BINARY(16) NOT NULL,
    sender_id BINARY(16) NOT NULL,
    device_id BINARY(16) NOT NULL,
    client_msg_id BINARY(16) NOT NULL,
    request_hash BINARY(32) NOT NULL,
    seq BIGINT NOT NULL,
    time_ms BIGINT NOT NULL,
    added BIGINT NOT NULL,
    target BINARY(16),
    PRIMARY KEY (client_msg_id, log_id, sender_id, device_id)
) {table};
