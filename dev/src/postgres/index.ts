export { type PostgresOptions, type PostgresServer, removePostgresData, startPostgres } from './server.ts';
