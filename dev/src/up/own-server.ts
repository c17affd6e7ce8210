import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DATABASE_URL_FILE } from './summary.ts';

/**
 * The server of your own that DATABASE_URL names. What `make up` says to export for `felucca admin` is none: it is the
 * embedded server of a stack in this state folder or beside it.
 * @throws when it is that of another stack, as no two may write to one database
 */
export function ownServer(
  databaseUrl: string | undefined,
  folder: string,
  say: (line: string) => void,
): string | undefined {
  if (!databaseUrl) return undefined;
  const root = dirname(folder);
  const stacks = existsSync(root) ? readdirSync(root) : [];
  const stack = stacks.find((name) => embeddedUrl(join(root, name)) === databaseUrl);
  if (stack === undefined) return databaseUrl;
  if (join(root, stack) !== folder)
    throw new Error(
      `DATABASE_URL is the database of the stack "${stack}", which no other stack may use; run "unset DATABASE_URL" first`,
    );
  say('DATABASE_URL is that of this stack itself, which starts it: not taken for a server of your own');
  return undefined;
}

function embeddedUrl(folder: string): string | undefined {
  try {
    return readFileSync(join(folder, DATABASE_URL_FILE), 'utf8');
  } catch {
    return undefined;
  }
}
