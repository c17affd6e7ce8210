import { isRecord, type KubeObject } from '@felucca/contract';
import { ApiError } from '../../runtime/api-error.ts';
import { ClusterError } from '../cluster.ts';

/** Shorter values are in every sentence, and no secrets. */
const MIN_LENGTH = 4;

/** What the API server says of a Secret may quote it; in a status, an Event or a log everybody would read that. */
export function withoutSecrets(error: ClusterError, object: KubeObject & { data?: unknown }): ClusterError {
  if (object.kind !== 'Secret') return error;
  const data = isRecord(object.data) ? Object.values(object.data).map(String) : [];
  const values = data
    .flatMap((value) => [value, Buffer.from(value, 'base64').toString('utf8')])
    .filter((value) => value.length >= MIN_LENGTH)
    .sort((a, b) => b.length - a.length);
  const clean = (text: string): string =>
    values.reduce((rest, value) => rest.replaceAll(value, '(removed)'), text);
  const { status, message, causes, cause } = error;
  if ([message, ...causes].every((text) => clean(text) === text)) return error;
  const reason = cause instanceof ApiError ? cause.reason : '';
  return new ClusterError(
    status,
    clean(message),
    new ApiError(status, reason, clean(message), { causes: causes.map(clean) }),
  );
}
