-- Which records of the journal are here: those of its frames up to this number. The identity tells the frames of this
-- database from those of another that had its name. See swell.store.sqlite.journal.
CREATE TABLE journal (written INTEGER NOT NULL, identity INTEGER NOT NULL) STRICT;
INSERT INTO journal VALUES (0, random());
