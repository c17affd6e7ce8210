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
