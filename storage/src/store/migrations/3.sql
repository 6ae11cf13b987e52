-- A contact command is remembered in sent, too: under the name that the server gave it, in the sender's own log, its target the direct conversation that it came
-- to. refused: 1 it was refused as not found, 2 as a contact already; 0 where it was carried out.
ALTER TABLE sent ADD COLUMN refused SMALLINT NOT NULL DEFAULT 0;
