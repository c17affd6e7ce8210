export { type BaseBackup, takeBaseBackup } from './base-backup.ts';
export { installedPostgres } from './installed.ts';
export { type PostgresOptions, type PostgresServer, removePostgresData, startPostgres } from './server.ts';
