/** What a request to an API server is about, read from its method, path and body. Pure. */

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'apply' | 'update' | 'patch' | 'delete' | 'other';

export interface Target {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
}

/** One request as it came from the operator. */
export interface ApiRequest {
  /** Counts from 1 in the order of arrival. */
  readonly id: number;
  readonly atMs: number;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly verb: Verb;
  readonly target: Target;
  /** `<resource>[.<group>]/[<namespace>/]<name>[/<subresource>]`; of a list or watch without the name. */
  readonly key: string;
}

const WRITES: readonly Verb[] = ['create', 'apply', 'update', 'patch', 'delete'];
export const isWrite = ({ verb }: Pick<ApiRequest, 'verb'>): boolean => WRITES.includes(verb);

export function describeRequest(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
): Pick<ApiRequest, 'verb' | 'target' | 'key'> {
  const url = new URL(path, 'https://api');
  const target = targetOf(url.pathname.split('/').filter(Boolean));
  if (!target)
    return { verb: 'other', target: { group: '', version: '', resource: '' }, key: url.pathname.slice(1) };
  const verb = verbOf(method, target, url.searchParams, headers['content-type'] ?? '');
  const named = verb === 'create' && target.name === undefined ? { ...target, ...nameIn(body) } : target;
  return { verb, target: named, key: keyOf(named) };
}

export function keyOf({ group, resource, namespace, name, subresource }: Target): string {
  const kind = group === '' ? resource : `${resource}.${group}`;
  return [kind, namespace, name, subresource].filter((part) => part !== undefined).join('/');
}

function targetOf(parts: readonly string[]): Target | undefined {
  const isCore = parts[0] === 'api';
  if (!isCore && parts[0] !== 'apis') return undefined;
  const [group, version, ...rest] = isCore ? ['', ...parts.slice(1)] : parts.slice(1);
  if (group === undefined || version === undefined || rest.length === 0) return undefined;
  const isNamespaced = rest[0] === 'namespaces' && rest.length > 2 && !isOfNamespace(rest[2]);
  const [resource = '', name, subresource] = isNamespaced ? rest.slice(2) : rest;
  return {
    group,
    version,
    resource,
    ...(isNamespaced ? { namespace: rest[1] as string } : {}),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

const isOfNamespace = (part: string | undefined): boolean => part === 'status' || part === 'finalize';

function verbOf(method: string, target: Target, query: URLSearchParams, contentType: string): Verb {
  switch (method) {
    case 'GET':
      if (target.name !== undefined) return 'get';
      return ['true', '1'].includes(query.get('watch') ?? '') ? 'watch' : 'list';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return contentType.includes('apply-patch') ? 'apply' : 'patch';
    case 'DELETE':
      return 'delete';
    default:
      return 'other';
  }
}

function nameIn(body: Buffer): { name?: string } {
  try {
    const { metadata } = JSON.parse(body.toString()) as { metadata?: { name?: unknown } };
    return typeof metadata?.name === 'string' ? { name: metadata.name } : {};
  } catch {
    return {};
  }
}
