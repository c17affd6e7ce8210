import { apiServerWords } from '@felucca/contract';
import { Failure } from '../failure.ts';
import type { Connection } from './connection.ts';

/** The API server said no, or nothing. `status` 0: no answer came. */
export class KubeError extends Error {
  override name = 'KubeError';
  readonly status: number;
  readonly request: string;
  /** A 404 about one object, and not about a kind that is not served. */
  readonly isMissingObject: boolean;

  constructor(status: number, request: string, message: string, isMissingObject = false) {
    super(message);
    this.status = status;
    this.request = request;
    this.isMissingObject = isMissingObject;
  }

  /** From a `metav1.Status` body, or whatever a proxy sent instead. */
  static of(status: number, request: string, text: string): KubeError {
    try {
      const body = JSON.parse(text) as { message?: string; details?: { name?: string } };
      const isMissing = status === 404 && body.details?.name !== undefined;
      if (body.message) return new KubeError(status, request, apiServerWords(body.message), isMissing);
    } catch {
      // Not JSON: shown as it is.
    }
    return new KubeError(status, request, apiServerWords(`HTTP ${status} ${text.slice(0, 300)}`));
  }
}

/** What a person reads instead: the thing, the reason, the remedy. */
export function asFailure(error: KubeError, { server, context, kubeconfig }: Connection): Failure {
  const at = `the API server ${server.origin} (context "${context}")`;
  switch (error.status) {
    case 0:
      return new Failure(
        `${at} cannot be reached: ${error.message}`,
        `is the cluster up, and is it the right one? Try: kubectl ${kubeconfig === undefined ? '' : `--kubeconfig ${kubeconfig} `}--context ${context} version`,
        error,
      );
    case 400: {
      const selector = new URLSearchParams(error.request.split('?')[1]).get('labelSelector');
      return selector === null ? unexpected(error) : badSelector(selector, error);
    }
    case 401:
      return new Failure(
        `${at} does not accept your credentials`,
        'log in again, or choose another --context',
        error,
      );
    case 403:
      return new Failure(
        error.message,
        `ask for the role "${isRead(error) ? 'view' : 'edit'}" ${isOfNamespace(error) ? 'where the Instance is' : 'in the cluster (ClusterRoleBinding)'}; docs/cli.md lists what each command needs`,
        error,
      );
    case 404:
      return new Failure(
        `Felucca is not installed on this cluster: ${error.message}`,
        'install the chart felucca-operator, or choose another cluster with --context',
        error,
      );
    default:
      return unexpected(error);
  }
}

/** Tenants, Blueprints and whatever is asked of all namespaces belong to none. */
const isOfNamespace = ({ request }: KubeError): boolean => request.includes('/namespaces/');
const isRead = ({ request }: KubeError): boolean => request.startsWith('GET ');

const badSelector = (selector: string, error: KubeError): Failure =>
  new Failure(
    `the selector "${selector}" cannot be read: ${error.message}`,
    'correct -l: it is written as for kubectl, app=web,tier!=db',
    error,
  );

const unexpected = (error: KubeError): Failure =>
  new Failure(`${error.request}: ${error.message}`, 'try again; if it stays, look at the API server', error);

/** Something that may be hidden from whoever asks: a tenant's user sees neither Tenants nor Blueprints. */
export type Seen<T> = { value: T } | { hidden: string };

export const isSeen = <T>(seen: Seen<T>): seen is { value: T } => 'value' in seen;
export const seenValue = <T>(seen: Seen<T>): T | undefined => (isSeen(seen) ? seen.value : undefined);

/** A refusal is an answer; every other error stays one. */
export async function ifAllowed<T>(read: Promise<T>): Promise<Seen<T>> {
  try {
    return { value: await read };
  } catch (error) {
    if (error instanceof KubeError && error.status === 403) return { hidden: error.message };
    throw error;
  }
}
