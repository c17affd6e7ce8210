import type { Stack } from '@felucca/dev/stack';
import { ApiClient, eventually, type Json } from './api-client.ts';

/** Skips a journey on simulated nodes and says why where the run can be seen; a report has only its name. */
export function needsContainers(stack: Stack, skip: (note: string) => never, why: string): void {
  if (stack.realContainers) return;
  process.stderr.write(`SKIPPED: ${why} (provider ${stack.provider})\n`);
  skip(why);
}

/** One organization on the running stack, with the words that the journeys are written in. */
export class Actor {
  readonly stack: Stack;
  readonly api: ApiClient;
  readonly organization: string;

  private constructor(stack: Stack, api: ApiClient, organization: string) {
    this.stack = stack;
    this.api = api;
    this.organization = organization;
  }

  /** A new organization with its own key, as a customer would get it. */
  static async join(stack: Stack, organization: string): Promise<Actor> {
    const platform = new ApiClient(stack.apiUrl, stack.platformKey);
    await platform.ok('POST', '/v1/organizations', { name: organization });
    const key = await platform.ok('POST', `/v1/organizations/${organization}/api-keys`, { name: 'journey' });
    return new Actor(stack, platform.as(key.key), organization);
  }

  get namespace(): string {
    return `tenant-${this.organization}`;
  }

  path(instance: string): string {
    return `/v1/organizations/${this.organization}/instances/${instance}`;
  }

  order(
    name: string,
    parameters: Record<string, unknown>,
    blueprint = 'web',
    version = '1.0.0',
  ): Promise<Json> {
    return this.api.ok('POST', `/v1/organizations/${this.organization}/instances`, {
      name,
      dataPlane: this.stack.dataPlane.name,
      blueprint,
      version,
      parameters,
    });
  }

  async etag(name: string): Promise<string> {
    const reply = await this.api.call('GET', this.path(name));
    return reply.headers.get('etag') ?? '';
  }

  async patch(name: string, change: Record<string, unknown>): Promise<Json> {
    return this.api.ok('PATCH', this.path(name), change, {
      'if-match': await this.etag(name),
      'content-type': 'application/merge-patch+json',
    });
  }

  observed(name: string): Promise<Json> {
    return this.api.ok('GET', `${this.path(name)}/observed`);
  }

  /** What the API says about one condition of an Instance; undefined until the operator reported it. */
  async condition(name: string, type: string): Promise<Json | undefined> {
    const observed = await this.observed(name);
    return observed.conditions?.find((condition: Json) => condition.type === type);
  }

  /** Waits until the API itself says that the current generation is Ready. */
  ready(name: string, timeoutMs = 120_000): Promise<Json> {
    return eventually(
      `${this.organization}/${name} is Ready in the API`,
      async () => {
        const instance = await this.api.ok('GET', this.path(name));
        const observed = await this.observed(name);
        const ready = observed.conditions?.find((condition: Json) => condition.type === 'Ready');
        return observed.generation === instance.generation && ready?.status === 'True' && observed;
      },
      timeoutMs,
    );
  }

  /** Reads one object as the cluster's administrator; undefined when it does not exist. */
  async object(kind: string, name: string, namespace = this.namespace): Promise<Json | undefined> {
    const out = await this.stack.cluster.kubectl([
      'get',
      kind,
      name,
      '-n',
      namespace,
      '-o',
      'json',
      '--ignore-not-found',
    ]);
    return out.trim() === '' ? undefined : JSON.parse(out);
  }

  kubectl(...args: string[]): Promise<string> {
    return this.stack.cluster.kubectl(args);
  }

  /** resourceVersion of each object the operator writes for us: equal before and after means "no write". */
  async fingerprint(): Promise<string> {
    const out = await this.kubectl(
      'get',
      'instances,deployments,services,configmaps,statefulsets',
      '-n',
      this.namespace,
      '-o',
      'jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.uid}:{.metadata.generation}:{.metadata.annotations.felucca\\.dev/applied-hash}{"\\n"}{end}',
    );
    return out.trim().split('\n').sort().join('\n');
  }
}
