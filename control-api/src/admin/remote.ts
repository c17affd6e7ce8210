import { Refusal } from './refusal.ts';

/** The API, as whoever decides. */
export interface Remote {
  url: string;
  key: string;
}
export type Write = (line: string) => void;

/** @throws Refusal when it is not named */
export function named(dataPlane: string | undefined): string {
  if (dataPlane) return dataPlane;
  throw new Refusal(
    'no data plane is named',
    '`felucca admin differences` and `felucca admin held` list them',
  );
}

/** Names of all. */
export async function dataPlanes(remote: Remote): Promise<string[]> {
  const names: string[] = [];
  let cursor = '';
  do {
    const page = await call<{ items: { name: string }[]; nextCursor?: string }>(
      remote,
      'GET',
      `/v1/data-planes?limit=200${cursor === '' ? '' : `&cursor=${cursor}`}`,
    );
    names.push(...page.items.map(({ name }) => name));
    cursor = page.nextCursor ?? '';
  } while (cursor !== '');
  return names;
}

/** @throws Refusal with what the API says */
export async function call<T>(
  { url, key }: Remote,
  method: string,
  path: string,
  body?: unknown,
): Promise<T> {
  const response = await fetch(new URL(path, url), {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(60_000),
  });
  const answer = (await response.json().catch(() => ({}))) as T & { detail?: string };
  if (response.ok) return answer;
  throw new Refusal(
    `${method} ${path}: ${response.status} ${answer.detail ?? ''}`,
    'see the API’s log under its request id',
  );
}
