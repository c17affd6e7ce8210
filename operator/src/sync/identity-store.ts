/** One Secret of the operator's own namespace, by name. */
export interface IdentityStore {
  read(): Promise<{ data: Record<string, string>; resourceVersion: string } | undefined>;
  /** False when it exists already. */
  create(data: Record<string, string>): Promise<boolean>;
  /** False when it changed since `resourceVersion`. */
  update(data: Record<string, string>, resourceVersion: string): Promise<boolean>;
}

export const IDENTITY_SECRET = 'felucca-operator-identity';

/**
 * @param remedy after "put it back from a backup, or remove it "
 * @returns undefined when there is no such field
 * @throws that it can't be read, without a word of what is in there: the errors of parsers quote it
 */
export function readField<T>(
  data: Record<string, string>,
  field: string,
  parse: (text: string) => T,
  remedy: string,
): T | undefined {
  const text = data[field];
  if (text === undefined) return undefined;
  try {
    return parse(text);
  } catch {
    throw new Error(
      `field ${field} of Secret ${IDENTITY_SECRET} is broken; put it back from a backup, or remove it ${remedy}`,
    );
  }
}

const MAX_ATTEMPTS = 5;

/**
 * Reads it, lets `change` make the next data of it, and writes that unless it is the same object; again, when somebody
 * else wrote in between. @returns what is stored now @throws what `change` throws, or that it keeps changing
 */
export async function changeIdentity(
  store: IdentityStore,
  change: (data: Record<string, string> | undefined) => Record<string, string>,
): Promise<Record<string, string>> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const stored = await store.read();
    const data = change(stored?.data);
    if (data === stored?.data) return data;
    const won = stored ? await store.update(data, stored.resourceVersion) : await store.create(data);
    if (won) return data;
  }
  throw new Error(`Secret ${IDENTITY_SECRET} keeps changing; is another operator writing it?`);
}
