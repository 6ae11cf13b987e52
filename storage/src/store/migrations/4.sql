-- What the store is known by: one row. A move draws a new one for its target, which is another store until it is finished.
CREATE TABLE installation (
    id BINARY(16) NOT NULL PRIMARY KEY
) {table};
