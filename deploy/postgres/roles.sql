-- Create a role and a schema of the same name for one service. Safe to run repeatedly; run it as the admin role.
--   SERVICE=sequence SERVICE_PASSWORD=… psql -d postgres -f roles.sql
-- The password is read from the environment, because an argument would be visible in the process list.
\set ON_ERROR_STOP on
\set QUIET on
\getenv service SERVICE
\getenv password SERVICE_PASSWORD

SELECT 'CREATE DATABASE quintet' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'quintet') \gexec
\connect quintet

SELECT format('CREATE ROLE %I', :'service')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'service') \gexec

ALTER ROLE :"service" WITH
    LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';

REVOKE ALL ON DATABASE quintet FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE quintet TO :"service";

SELECT format('CREATE SCHEMA %1$I AUTHORIZATION %1$I', :'service')
WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = :'service') \gexec

ALTER ROLE :"service" SET search_path = :"service";
ALTER ROLE :"service" SET statement_timeout = '30s';
ALTER ROLE :"service" SET lock_timeout = '5s';
ALTER ROLE :"service" SET idle_in_transaction_session_timeout = '30s';
-- If the network to a client fails, its session ends and releases its locks after 14 seconds instead of two hours.
ALTER ROLE :"service" SET tcp_keepalives_idle = 5;
ALTER ROLE :"service" SET tcp_keepalives_interval = 3;
ALTER ROLE :"service" SET tcp_keepalives_count = 3;
ALTER ROLE :"service" SET tcp_user_timeout = '10s';
