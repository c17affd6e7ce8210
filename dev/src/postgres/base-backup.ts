import { execFileSync } from 'node:child_process';
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { serverAccount } from './files.ts';
import type { PostgresServer } from './server.ts';

export interface BaseBackup {
  /** Of the server that it was taken of. */
  readonly password: string;
  /** Lays the backup there as a data folder, with files of its own on top (`recovery.signal`, …). */
  fill(dataDir: string, files?: Record<string, string>): void;
}

/**
 * A base backup of a running server by Postgres' low-level interface, as pg_basebackup takes it; the embedded package
 * ships no client programs. It carries the WAL that it needs, so it can be started without an archive.
 */
export async function takeBaseBackup(server: PostgresServer, folder: string): Promise<BaseBackup> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    // The session must live as long as the backup.
    await client.query(`SELECT pg_backup_start('felucca', true)`);
    copy(server.dataDir, folder, ['./postmaster.pid', './postmaster.opts', './pg_wal/*', './pg_replslot/*']);
    const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
    own(join(folder, 'backup_label'), rows[0]!.labelfile);
    copy(join(server.dataDir, 'pg_wal'), join(folder, 'pg_wal'), []);
  } finally {
    await client.end();
  }
  return {
    password: decodeURIComponent(new URL(server.url).password),
    fill: (dataDir, files = {}) => {
      copy(folder, dataDir, []);
      for (const [name, text] of Object.entries(files)) own(join(dataDir, name), text);
    },
  };
}

/** Files that vanish while they are copied are what the WAL is for; tar says 1 to them. */
function copy(from: string, to: string, without: string[]): void {
  const excluded = without.map((pattern) => `--exclude=${pattern}`);
  execFileSync(
    'bash',
    [
      ...['-c', 'mkdir -p "$2" && (tar -C "$1" -cf - "${@:3}" . || [ $? -eq 1 ]) | tar -C "$2" -xpf -'],
      ...['copy', from, to, ...excluded],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
}

function own(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 });
  const account = serverAccount();
  if (account) chownSync(path, account.uid, account.gid);
}
