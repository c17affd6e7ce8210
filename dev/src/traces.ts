import { createHash } from 'node:crypto';
import pg from 'pg';

/** A text as it may have been written down: as it is, encoded, or as a hash that everybody can make. */
export function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  // Inside of something longer the encoding depends on where it begins: three ways, without the ends that differ.
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '')
      .slice(shift + 2, -2),
  );
  const hashes = (['hex', 'base64', 'base64url'] as const).map((encoding) =>
    createHash('sha256').update(secret).digest(encoding).replaceAll('=', ''),
  );
  return [secret, encodeURIComponent(secret), bytes.toString('hex'), ...base64, ...hashes];
}

/** Names of the texts in which one of the secrets is. */
export const tracesOf = (secrets: readonly string[], texts: ReadonlyMap<string, string>): string[] => {
  const forms = secrets.flatMap(formsOf);
  return [...texts].flatMap(([name, text]) => (forms.some((form) => text.includes(form)) ? [name] : []));
};

/** Every row of every table as text. */
export async function everyTable(databaseUrl: string): Promise<Map<string, string>> {
  const database = new pg.Client({ connectionString: databaseUrl });
  await database.connect();
  try {
    const { rows: tables } = await database.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    );
    const texts = new Map<string, string>();
    for (const { name } of tables) {
      const { rows } = await database.query<{ text: string }>(`SELECT t::text AS text FROM ${name} t`);
      texts.set(name, rows.map(({ text }) => text).join('\n'));
    }
    return texts;
  } finally {
    await database.end();
  }
}
