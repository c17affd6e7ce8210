import { type Json, valueAt } from './pointer.ts';
import type { State } from './state.ts';
import type { Expectation } from './subjects.ts';

/** What a person would check by hand about a web Instance. */
export function expectWeb(spec: Json, { children, status }: State): Expectation[] {
  const parameter = (name: string, otherwise: unknown): unknown =>
    valueAt(spec, ['parameters', name]) ?? otherwise;
  const deployment = (...path: string[]): unknown => valueAt(children, ['Deployment/<name>-web', ...path]);
  const container = (...path: string[]): unknown =>
    deployment('spec', 'template', 'spec', 'containers', '0', ...path);
  const environment = (name: string): unknown =>
    (container('env') as { name: string; value?: string }[] | undefined)?.find((item) => item.name === name)
      ?.value ?? '';
  return [
    {
      what: 'replicas',
      actual: deployment('spec', 'replicas'),
      expected: spec['suspend'] === true ? 0 : parameter('replicas', 1),
    },
    { what: 'image', actual: container('image'), expected: parameter('image', 'felucca/web:dev') },
    {
      what: 'MESSAGE',
      actual: environment('MESSAGE'),
      expected: parameter('message', 'Hello from Felucca'),
    },
    {
      what: 'FAIL_HEALTH',
      actual: environment('FAIL_HEALTH'),
      expected: String(parameter('failHealth', false)),
    },
    { what: 'CRASH', actual: environment('CRASH'), expected: String(parameter('crash', false)) },
    {
      what: 'the Service leads to the pods',
      actual: valueAt(children, ['Service/<name>-service', 'spec', 'selector']),
      expected: deployment('spec', 'selector', 'matchLabels'),
    },
    {
      what: 'url',
      actual: valueAt(status, ['outputs', 'url', 'value']),
      expected: 'http://<name>-service.<namespace>.svc',
    },
  ];
}
