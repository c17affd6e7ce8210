import type { ClientBase, Pool } from 'pg';

/** Where a restore keeps what it replaces until the dump is in its place (admin/replaced-schema.ts). */
export const REPLACED = 'replaced_felucca';

export const INTERRUPTED = {
  message: `a restore of this database is under way or was interrupted; what was there before it is in schema ${REPLACED}`,
  remedy: 'if none is running, run `felucca admin restore` again: it puts that back before anything else',
};

export async function schemasOf(
  client: Pick<ClientBase, 'query'> | Pick<Pool, 'query'>,
): Promise<{ felucca: boolean; replaced: boolean }> {
  const { rows } = await client.query<{ felucca: boolean; replaced: boolean }>(
    `SELECT to_regnamespace('felucca') IS NOT NULL AS felucca, to_regnamespace($1) IS NOT NULL AS replaced`,
    [REPLACED],
  );
  return rows[0]!;
}

/** @throws before an empty schema is made where the former one belongs */
export async function refuseInterrupted(
  client: Pick<ClientBase, 'query'> | Pick<Pool, 'query'>,
): Promise<void> {
  const { felucca, replaced } = await schemasOf(client);
  if (replaced && !felucca) throw new Error(`${INTERRUPTED.message}; ${INTERRUPTED.remedy}`);
}
