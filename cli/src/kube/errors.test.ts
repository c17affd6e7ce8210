import { expect, test } from 'vitest';
import type { Connection } from './connection.ts';
import { asFailure, KubeError } from './errors.ts';

const connection = { server: new URL('https://example.test:6443'), context: 'prod' } as Connection;
const told = (status: number, request: string, message: string) =>
  asFailure(new KubeError(status, request, message), connection);

const INSTANCE = '/apis/felucca.dev/v1alpha1/namespaces/tenant-a/instances';

test.each([
  ['GET', 'view'],
  ['PATCH', 'edit'],
])('who may not %s is told to ask for the role that may', (method, role) => {
  expect(told(403, `${method} ${INSTANCE}/db`, 'forbidden').remedy).toMatch(
    new RegExp(`^ask for the role "${role}" where the Instance is`),
  );
});

test.each(['tenants/acme', 'instances?limit=500'])(
  'who may not read %s needs the role in the cluster: it is in no namespace',
  (path) => {
    expect(told(403, `GET /apis/felucca.dev/v1alpha1/${path}`, 'forbidden').remedy).toMatch(
      /^ask for the role "view" in the cluster \(ClusterRoleBinding\)/,
    );
  },
);

test('an API server that does not answer is to be tried with the kubeconfig that was given', () => {
  const silent = new KubeError(0, 'GET /', 'no route');
  expect(told(0, 'GET /', 'no route').remedy).toMatch(/kubectl --context prod version$/);
  expect(asFailure(silent, { ...connection, kubeconfig: 'k.yaml' }).remedy).toMatch(
    /kubectl --kubeconfig k.yaml --context prod version$/,
  );
});

test('a selector that cannot be read is what is to be corrected', () => {
  const failure = told(
    400,
    `GET ${INSTANCE}?limit=500&labelSelector=x%3D%3D%3D`,
    "unable to parse requirement: found '=', expected: identifier",
  );
  expect(failure.message).toMatch(/^the selector "x===" cannot be read: unable to parse/);
  expect(failure.remedy).toMatch(/^correct -l/);
  expect(told(400, `GET ${INSTANCE}?limit=500`, 'no').remedy).toMatch(/look at the API server/);
});
