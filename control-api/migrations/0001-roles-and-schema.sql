-- Runs as the login role of DATABASE_URL, which must be allowed to create roles. Everything after it runs
-- as felucca_owner. Roles belong to the whole server, so they may exist already.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'felucca_owner') THEN
    CREATE ROLE felucca_owner NOLOGIN NOINHERIT;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'felucca_app') THEN
    CREATE ROLE felucca_app LOGIN NOINHERIT CONNECTION LIMIT 400;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'felucca_feed') THEN
    CREATE ROLE felucca_feed LOGIN NOINHERIT CONNECTION LIMIT 200;
  END IF;
  EXECUTE format('GRANT felucca_owner TO %I', current_user);
END
$$;

CREATE SCHEMA felucca AUTHORIZATION felucca_owner;
GRANT USAGE ON SCHEMA felucca TO felucca_app, felucca_feed;
