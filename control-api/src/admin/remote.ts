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

/** @param list the command that tells them. @throws Refusal when there is none */
export function mustName(ids: readonly string[], list: string, more = ''): void {
  if (ids.length === 0) throw new Refusal('nothing is named', `name ids of \`felucca admin ${list}\`${more}`);
}

/** What `path` lists of one data plane or of each, a line for each item. @returns 1 when there is any */
export async function listItems<T>(
  remote: Remote,
  only: string | undefined,
  show: {
    path: (dataPlane: string) => string;
    summary: (count: number) => string;
    line: (dataPlane: string, item: T) => string;
  },
  out: Write,
  say: Write,
): Promise<number> {
  let count = 0;
  for (const name of only === undefined ? await dataPlanes(remote) : [only]) {
    const { items } = await call<{ items: T[] }>(remote, 'GET', show.path(name));
    say(`${name}: ${show.summary(items.length)}`);
    for (const item of items) out(show.line(name, item));
    count += items.length;
  }
  return count > 0 ? 1 : 0;
}

async function dataPlanes(remote: Remote): Promise<string[]> {
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
  const response = await fetch(target(url, path), {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(60_000),
  }).catch((error: Error) => {
    const why = error.cause instanceof Error ? error.cause.message : error.message;
    throw new Refusal(`${url} does not answer: ${why}`, 'correct FELUCCA_URL, or see whether the API runs');
  });
  const answer = (await response.json().catch(() => ({}))) as T & ProblemBody;
  if (response.ok) return answer;
  const { detail = '', errors = [], requestId } = answer;
  const findings = errors.map(({ pointer, message, remedy }) =>
    [`\n  ${pointer} ${message}`, ...(remedy ? [remedy] : [])].join('; '),
  );
  throw new Refusal(
    `${method} ${path}: ${response.status} ${detail}${findings.join('')}`,
    requestId ? `the API's log has more under request ${requestId}` : 'see the log of the API',
  );
}

/** An RFC 9457 problem of the API. */
interface ProblemBody {
  detail?: string;
  requestId?: string;
  errors?: { pointer: string; message: string; remedy?: string }[];
}

function target(url: string, path: string): URL {
  try {
    return new URL(path, url);
  } catch {
    throw new Refusal(
      `FELUCCA_URL is no URL: ${url}`,
      'set it to the address of the API, such as https://felucca.example.org',
    );
  }
}
